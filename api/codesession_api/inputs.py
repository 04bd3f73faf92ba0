"""The files that a run needs: which they are, and how they come to be in the sandbox."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from codesession_api import metrics, names, tracing
from codesession_api.concurrency import bounded, closing
from codesession_api.errors import (
    ObjectMissing,
    SandboxBadRequest,
    SandboxFileMissing,
    SandboxFileTooLarge,
    SandboxNoSpace,
)
from codesession_api.files import Files, StoredFile
from codesession_api.keys import FileKey
from codesession_api.ports import Principal, Sandbox, TaggedPath
from codesession_api.scope import ANY, Scope
from codesession_api.wire import FileRef
from codesession_crds.names import is_wire_id


@dataclass(frozen=True, slots=True)
class Input:
    """A file that has to be at `path`. `ref` is None for one that the client did not ask for; of one that is
    `offered` it is not told when it cannot be had."""

    path: str
    key: FileKey
    ref: FileRef | None = None
    offered: bool = False

    @property
    def scope(self) -> Scope:
        return self.ref.scope if self.ref else ANY


@dataclass(frozen=True, slots=True)
class Mounted:
    """An input that was not in the sandbox before."""

    input: Input
    file: StoredFile


class Inputs(dict[str, Input]):
    """By path; of two for one path the later counts. `notes` tells the model what cannot be had."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []
        self._deleted: set[str] = set()

    @classmethod
    def of(cls, refs: Iterable[FileRef], by: Principal, session: str | None) -> Inputs:
        """`session` is that of the request, for references which name none."""
        inputs = cls()
        for ref in refs:
            path, home = names.clean(ref.name or ref.id or ""), ref.session or session
            if ref.id and home and is_wire_id(ref.id) and is_wire_id(home):
                inputs[path] = Input(path, FileKey.of(by, home, ref.id, path), ref)
            else:
                inputs.drop(path, "is not known")
        return inputs

    def drop(self, path: str, why: str) -> None:
        dropped = self.pop(path, None)
        if dropped is None or not dropped.offered:
            self.notes.append(f"Input file {path!r} {why} and was left out.")

    def sessions(self) -> list[str]:
        """The sessions that hold them, the one with most of them first."""
        count: dict[str, int] = {}
        for entry in self.values():
            count[entry.key.session] = count.get(entry.key.session, 0) + 1
        return sorted(count, key=lambda session: -count[session])

    def legacy_sessions(self) -> set[str]:
        return {entry.key.session for entry in self.values() if entry.ref and entry.ref.legacy}

    def restore(self, files: Iterable[FileKey]) -> None:
        """What a session that is gone had, where nothing else is asked for at the same path."""
        for key in files:
            if key.gone:
                self._deleted.add(key.name)
            else:
                self.setdefault(key.name, Input(key.name, key))

    def offer(self, files: Iterable[FileKey], limit: int) -> None:
        """What a user's folder has, unless the session deleted it: the newest, until there are `limit`."""
        for key in sorted(files, key=lambda key: key.file_id, reverse=True):
            if len(self) < limit and key.name not in self._deleted:
                self.setdefault(key.name, Input(key.name, key, offered=True))

    async def mount(
        self, sandbox: Sandbox, files: Files, by: Principal, *, fresh: bool, transfers: int
    ) -> list[Mounted]:
        """Put into the sandbox what is not in it yet; drop what cannot be had."""
        with tracing.span("inputs", files=len(self)) as span:
            absent = list(self.values()) if fresh else await self._absent(sandbox)
            calls = (partial(self._mount, sandbox, files, by, entry) for entry in absent)
            mounted = [one for one in await bounded(transfers, calls) if one is not None]
            span.set(mounted=len(mounted))
            return mounted

    async def _absent(self, sandbox: Sandbox) -> list[Input]:
        if not self:
            return []
        paths = await sandbox.missing([TaggedPath(entry.path, entry.key.tag) for entry in self.values()])
        return [entry for entry in self.values() if entry.path in paths]

    async def _mount(self, sandbox: Sandbox, files: Files, by: Principal, entry: Input) -> Mounted | None:
        begun = time.perf_counter()
        try:
            file = await files.locate(by, entry.key, entry.scope)
            async with closing(files.read(file)) as chunks:
                await sandbox.put(entry.path, chunks, tag=entry.key.tag, read_only=file.read_only)
        except ObjectMissing:
            self.drop(entry.path, "is no longer stored")
        except SandboxFileTooLarge:
            self.drop(entry.path, "is larger than a sandbox takes")
        except SandboxNoSpace:
            self.drop(entry.path, "does not fit into the workspace, which is full,")
        except (SandboxBadRequest, SandboxFileMissing):
            self.drop(entry.path, "cannot be written at its path")
        else:
            metrics.moved("in", file.info.size, time.perf_counter() - begun)
            return Mounted(entry, file)
        return None
