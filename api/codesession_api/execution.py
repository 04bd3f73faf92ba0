"""One `/exec`: a place, its inputs, the run, its outputs, the answer."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass

from codesession_api import folders, hints, metrics, tracing
from codesession_api.answer import answer, refused
from codesession_api.errors import (
    SandboxBadRequest,
    SandboxBusy,
    SandboxError,
    SandboxLost,
    SandboxUnsupportedLanguage,
    invalid_field,
)
from codesession_api.files import Files
from codesession_api.freshness import Freshener
from codesession_api.inputs import Inputs, Mounted
from codesession_api.keys import FileKey
from codesession_api.outputs import Collector
from codesession_api.ports import Heard, Outcome, Principal, RunResult, RunSpec, Sandbox, Sandboxes
from codesession_api.quotas import Quotas
from codesession_api.settings import Settings
from codesession_api.wire import ExecAnswer, ExecRequest
from codesession_crds.names import is_id

log = logging.getLogger(__name__)

LOST = (
    "The sandbox was lost while the code ran, and what it had in memory with it. "
    "Files of earlier runs are kept: running the code again starts with them."
)
_SOUGHT_SESSIONS = 16
"""A conversation's files come from few live sessions; a request cannot probe more of them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a program can run: its inputs are there."""

    sandbox: Sandbox
    fresh: bool
    """Nothing was here before."""
    one_shot: bool
    """Only the id leads here, and the client did not seem to care for ids."""
    inputs: Inputs
    mounted: list[Mounted]

    def used(self) -> list[FileKey]:
        """The files of the run, by the key that holds the bytes where that was looked up."""
        found = {one.input.path: one.file.key for one in self.mounted}
        return [found.get(path, entry.key) for path, entry in self.inputs.items()]


@dataclass(frozen=True, slots=True)
class Watch:
    """How somebody follows a run, and how it is found again."""

    heard: Heard | None = None
    """Gets the output while it comes; the answer has the notes on it alone then."""
    name: str | None = None
    """The run's, for `Sandbox.cancel`."""
    group: str | None = None
    """A hint that a sandbox which is claimed for it gets. No run is led to a sandbox by that."""


class Executor:
    """Holds nothing between requests but the time of the last run that went well."""

    def __init__(self, settings: Settings, sandboxes: Sandboxes, files: Files, quotas: Quotas) -> None:
        self._settings = settings
        self._sandboxes = sandboxes
        self._files = files
        self._quotas = quotas
        self._freshener = Freshener(files)
        self.last_success: float | None = None
        """On the monotonic clock, in seconds."""

    async def execute(
        self, principal: Principal, request: ExecRequest, watch: Watch | None = None
    ) -> ExecAnswer:
        """Raises ApiError, or what the ports raise when they cannot serve at all."""
        watch = watch or Watch()
        if request.lang not in self._settings.languages:
            known = ", ".join(self._settings.languages)
            reason = f"Unsupported language {request.lang[:32]!r}; this sandbox has {known}."
            return refused(request.lang[:32], request.session_id, reason)
        if len(request.files) > self._settings.run_files:
            raise invalid_field(f"files: at most {self._settings.run_files} can be named")
        begun = time.perf_counter()
        hint = hints.hashed(self._settings, principal, request.runtime_session_hint)
        place = await self.prepared(principal, request, hint, group=watch.group)
        done = await self._run(principal, request, place, begun, watch)
        if hint is not None:
            done.runtime_session_id = place.sandbox.session_id
            done.runtime_status = "new" if place.fresh else "reused"
        return done

    async def aclose(self) -> None:
        await self._freshener.aclose()

    async def prepared(
        self,
        principal: Principal,
        request: ExecRequest,
        hint: str | None,
        *,
        own: bool = False,
        group: str | None = None,
    ) -> Place:
        """A sandbox with its inputs, with `own` always a fresh one. Nothing ran yet, so that a failure can be
        tried again once, elsewhere if the sandbox was lost."""
        lost: set[str] = set()
        for last in (False, True):
            inputs = Inputs.of(request.files, principal, request.session_id)
            sandbox = None if own else await self._live(principal, request, inputs, lost)
            if sandbox is None and hint is not None and not own:
                sandbox = await self._sandboxes.hinted(hint, principal, but=lost)
            fresh = sandbox is None
            one_shot = fresh and not own and hint is None and _leads_nowhere(request, inputs)
            if sandbox is None:
                sandbox = await self._claimed(principal, request, inputs, hint or group, one_shot=one_shot)
            try:
                mounted = await inputs.mount(
                    sandbox, self._files, principal, fresh=fresh, transfers=self._settings.transfers
                )
                place = Place(sandbox, fresh, one_shot, inputs, mounted)
                self._freshener.used(principal, place.used())
                return place
            except SandboxError as error:
                log.warning("a sandbox could not be prepared: %s", type(error).__name__)
                if last:
                    raise
                if isinstance(error, SandboxLost):
                    lost.add(sandbox.session_id)
        raise AssertionError("unreachable")

    async def _live(
        self, principal: Principal, request: ExecRequest, inputs: Inputs, lost: set[str]
    ) -> Sandbox | None:
        """The session that is asked for, suspended or not, or else a live one that made most of the files."""
        named = [request.session_id] if request.session_id else []
        for candidates, wake in ((named, True), (inputs.sessions(), False)):
            possible = [session for session in candidates if is_id(session) and session not in lost]
            sought = possible[:_SOUGHT_SESSIONS]
            found = await asyncio.gather(
                *(self._sandboxes.find(session, principal, wake=wake) for session in sought)
            )
            if live := [sandbox for sandbox in found if sandbox is not None]:
                return live[0]
        return None

    async def _claimed(
        self, principal: Principal, request: ExecRequest, inputs: Inputs, hint: str | None, *, one_shot: bool
    ) -> Sandbox:
        """A fresh sandbox, to be given what the sessions had that are gone: the one asked for, and those
        whose files an old client names, which forgets the others; then what the user has in each session."""
        gone = inputs.legacy_sessions() | ({request.session_id} if request.session_id else set())
        for session in sorted(filter(is_id, gone)):
            inputs.restore(await self._files.latest(principal, session))
        folder = folders.of_run(principal, request.entity_id, request.user_id)
        if self._settings.user_files and folder:
            inputs.offer(await self._files.latest(principal, folder), self._settings.run_files)
        with tracing.span("claim"):
            return await self._sandboxes.claim(principal, hint, one_shot=one_shot)

    async def _run(
        self, principal: Principal, request: ExecRequest, place: Place, begun: float, watch: Watch
    ) -> ExecAnswer:
        sandbox, seconds = place.sandbox, self.seconds(request)
        # Found by its name alone: a session that files or a hint lead to is not asked for its variables.
        live = sandbox.session_id == request.session_id
        spec = RunSpec(
            secrets.token_hex(16), request.lang, request.code, request.args, seconds, live, watch.name
        )
        collector = Collector(
            self._files,
            self._quotas,
            sandbox,
            principal,
            place.inputs,
            fresh=place.fresh,
            transfers=self._settings.transfers,
        )
        try:
            with (
                metrics.RUN_SECONDS.labels(request.lang).time(),
                tracing.span("run", language=request.lang) as span,
            ):
                result = await sandbox.run(spec, watch.heard)
                span.set(outcome=result.outcome.value)
        except SandboxBusy:
            raise
        except SandboxError as error:
            log.warning("a run failed: %s", type(error).__name__)
            metrics.RUNS.labels(request.lang, "failed").inc()
            metrics.failed(error)
            # The answer names this session: whoever goes on with it finds what it was given.
            await collector.collect(RunResult(Outcome.EXIT), place.mounted)
            return refused(request.lang, sandbox.session_id, reason(error))
        metrics.RUNS.labels(request.lang, result.outcome.value).inc()
        if result.first_output is not None:
            metrics.FIRST_BYTE_SECONDS.observe(result.first_output - begun)
        if place.one_shot and result.changed:
            # The next call may name these files. Its sandbox has then to live for that long.
            outputs, _ = await asyncio.gather(
                collector.collect(result, place.mounted), self._sandboxes.find(sandbox.session_id, principal)
            )
        else:
            outputs = await collector.collect(result, place.mounted)
        self.last_success = time.monotonic()
        inherited, notes = collector.unchanged(result), place.inputs.notes
        return answer(sandbox.session_id, request.lang, seconds, result, outputs, inherited, notes)

    def seconds(self, request: ExecRequest) -> float:
        """What the program may run."""
        asked = (request.timeout or 0) / 1000
        return min(asked, self._settings.run_seconds) if asked > 0 else self._settings.run_seconds


def _leads_nowhere(request: ExecRequest, inputs: Inputs) -> bool:
    """Whether the next request of such a client would not lead to the session of this one, unless a file does
    that is made now: old clients give their inputs the id of the session that they were used in."""
    return not request.session_id and not inputs.legacy_sessions()


def reason(error: SandboxError) -> str:
    """Why a run has no result, for the model to read."""
    match error:
        case SandboxLost():
            return LOST
        case SandboxUnsupportedLanguage() | SandboxBadRequest():
            return f"The code was not run: {error}."
        case _:
            return f"The run failed: {error}."
