"""The files that a run changed: from the sandbox into the store, and into the answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from codesession_api import keys, metrics, names, tracing
from codesession_api.concurrency import bounded, closing
from codesession_api.errors import (
    ObjectMissing,
    ObjectsUnavailable,
    QuotaExceeded,
    SandboxError,
    SandboxFileMissing,
)
from codesession_api.files import MODIFIED_FROM, Files
from codesession_api.inputs import Input, Inputs, Mounted
from codesession_api.keys import FileKey
from codesession_api.ports import FileEntry, Principal, RunResult, Sandbox
from codesession_api.quotas import Allowance, Quotas
from codesession_api.wire import AnswerFile, ArtifactDelivery, Origin

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outputs:
    """What a run leaves behind. `notes` are for the model to read."""

    files: list[AnswerFile] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Why files were not stored, and how many."""

    @property
    def delivery(self) -> ArtifactDelivery | None:
        if not self.failed:
            return None
        delivered = len(self.files)
        return ArtifactDelivery(
            status="partial" if delivered else "failed",
            attempted=delivered + self.failed,
            delivered=delivered,
            failed=self.failed,
        )


@dataclass(frozen=True, slots=True)
class Collector:
    """Takes over one run's files. New ones belong to the session that ran, under fresh ids."""

    files: Files
    quotas: Quotas
    sandbox: Sandbox
    principal: Principal
    inputs: Inputs
    fresh: bool
    """Whether the session stored nothing before."""
    transfers: int

    async def collect(self, result: RunResult, mounted: Sequence[Mounted]) -> Outputs:
        with tracing.span("outputs", changed=len(result.changed)) as span:
            outputs = await self._collect(result, mounted)
            span.set(stored=len(outputs.files))
            return outputs

    async def _collect(self, result: RunResult, mounted: Sequence[Mounted]) -> Outputs:
        outputs = Outputs()
        changed = [entry for entry in result.changed if self._kept(entry.path, outputs)]
        outputs.deleted = [path for path in result.deleted if names.fits(path)]
        if result.files_dropped:
            outputs.notes.append(f"{result.files_dropped} more files were changed and not kept: too many.")
        taken, _ = await asyncio.gather(
            self._take_all(changed, outputs),
            bounded(1, (partial(self._mark, key) for key in self._marks(mounted, outputs.deleted))),
        )
        outputs.files = [file for file in taken if file is not None]
        for reason, count in outputs.refused.items():
            outputs.notes.append(f"Files were made and not stored ({count}). {reason}")
        return outputs

    def unchanged(self, result: RunResult) -> list[AnswerFile]:
        """The inputs that are as they were, for clients that know `inherited`: others show them again."""
        touched = {entry.path for entry in result.changed} | set(result.deleted)
        kept = (entry for path, entry in self.inputs.items() if path not in touched)
        return [_inherited(entry) for entry in kept if entry.ref is not None and not entry.ref.legacy]

    def _kept(self, path: str, outputs: Outputs) -> bool:
        fits = names.fits(path)
        if not fits:
            outputs.notes.append(f"The file {names.clean(path)!r} has a name that cannot be kept.")
        return fits

    def _marks(self, mounted: Iterable[Mounted], deleted: Iterable[str]) -> list[FileKey]:
        session = self.sandbox.session_id
        given = [
            FileKey.of(
                self.principal,
                session,
                one.file.key.file_id,
                one.input.path,
                origin=one.file.key.home.session,
            )
            for one in mounted
            if one.file.key.home.session != session
        ]
        return given + [
            FileKey.of(self.principal, session, keys.new_file_id(), path, gone=True) for path in deleted
        ]

    async def _mark(self, key: FileKey) -> None:
        """History is for a session's life after this sandbox: a failure costs this run nothing."""
        try:
            await self.files.mark(key)
        except ObjectsUnavailable:
            log.warning("a session's history has a gap: the store did not answer")

    async def _take_all(self, changed: Sequence[FileEntry], outputs: Outputs) -> list[AnswerFile | None]:
        if not changed:
            return []
        try:
            allowance = await self._allowance()
        except ObjectsUnavailable:
            for entry in changed:
                _lose(entry, outputs)
            return []
        calls = (partial(self._take, entry, allowance, outputs) for entry in changed)
        return await bounded(self.transfers, calls)

    async def _allowance(self) -> Allowance:
        if self.fresh:
            return await self.quotas.of_new_session(self.principal)
        return await self.quotas.of_session(self.principal, self.sandbox.session_id)

    async def _take(self, entry: FileEntry, allowance: Allowance, outputs: Outputs) -> AnswerFile | None:
        try:
            return await self._store(entry, allowance)
        except SandboxFileMissing:
            return None
        except QuotaExceeded as refused:
            outputs.failed += 1
            outputs.refused[refused.message] += 1
            return None
        except (SandboxError, ObjectsUnavailable) as error:
            log.warning("a changed file was not stored: %s", type(error).__name__)
            metrics.failed(error)
            _lose(entry, outputs)
            return None

    async def _store(self, entry: FileEntry, allowance: Allowance) -> AnswerFile | None:
        before = self.inputs.get(entry.path)
        if before is not None and await self._read_only(before):
            return None
        session = self.sandbox.session_id
        key = FileKey.of(self.principal, session, keys.new_file_id(), entry.path)
        metadata = {MODIFIED_FROM: before.key.tag} if before else None
        begun = time.perf_counter()
        chunks = self.sandbox.get(entry.path, tag=key.tag)
        async with closing(allowance.metered(chunks, entry.size)) as metered:
            stored = await self.files.add(key, metered, metadata)
        metrics.moved("out", stored.info.size, time.perf_counter() - begun)
        return AnswerFile(
            id=key.file_id,
            name=entry.path,
            session_id=session,
            storage_session_id=session,
            size=stored.info.size,
            modified_from=_origin(before) if before else None,
        )

    async def _read_only(self, entry: Input) -> bool:
        """A read-only input is never an output, whatever the code did to it."""
        with contextlib.suppress(ObjectMissing):
            return (await self.files.locate(self.principal, entry.key)).read_only
        return False


def _lose(entry: FileEntry, outputs: Outputs) -> None:
    outputs.failed += 1
    outputs.notes.append(f"The file {entry.path!r} was made but could not be stored.")


def _origin(entry: Input) -> Origin:
    return Origin(id=entry.key.file_id, storage_session_id=entry.key.home.session)


def _inherited(entry: Input) -> AnswerFile:
    ref, home = entry.ref, entry.key.home.session
    return AnswerFile(
        id=entry.key.file_id,
        name=entry.path,
        session_id=home,
        storage_session_id=home,
        inherited=True,
        kind=ref.kind if ref else None,
        resource_id=ref.resource_id if ref else None,
        version=ref.version if ref else None,
    )
