"""Sandboxes as children of this process: the embedded default, for trying and for tests.

A few runners are kept started ahead. A session that is not used for a while ends, and all end with the
server: each is tied to it by the kernel (bubblewrap, gVisor) and by its standard input.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from codesession_api import metrics
from codesession_api.errors import SandboxesBusy, SandboxesUnavailable, SandboxLost
from codesession_api.ports import Live, Principal, Sandbox, Sandboxes
from codesession_api.sandboxes.child import StartError
from codesession_api.sandboxes.connection import Connection
from codesession_api.sandboxes.directory import WorkDirectory
from codesession_api.sandboxes.host import find_interpreter
from codesession_api.sandboxes.isolation import Isolation
from codesession_api.sandboxes.launch import Launcher, LocalSandbox
from codesession_api.sandboxes.probe import choose
from codesession_api.sandboxes.session import Limits, Session
from codesession_api.settings import Settings
from codesession_crds.names import new_id

_RETRY_SECONDS = 5.0
_SPARE_SECONDS = 10.0
"""A session that was used more lately than that is not ended to make room for another."""

logger = logging.getLogger(__name__)


async def open_local(settings: Settings) -> Sandboxes:
    """In the best isolation that works on this host. Raises SandboxesUnavailable when there is none."""
    directory = WorkDirectory(settings.local_directory / "sandboxes")
    try:
        interpreter = await find_interpreter(settings.sandbox_python)
        environment = runner_environment(settings)

        def launcher(kind: Isolation, **more: str) -> Launcher:
            return Launcher(kind, interpreter, {**environment, **more}, directory.path)

        def bare(kind: Isolation) -> Launcher:
            return launcher(kind, CODESESSION_PRELOAD="")

        kind = await choose(bare, unsafe=settings.unsafe_no_sandbox)
    except BaseException:
        directory.close()
        raise
    return LocalSandboxes(settings, launcher(kind), directory)


def runner_environment(settings: Settings) -> dict[str, str]:
    """The runner's settings that this server's settings decide."""
    values: dict[str, object] = {
        "RUN_SECONDS": settings.run_seconds,
        "OUTPUT_BYTES": settings.output_bytes,
        "FILE_BYTES": settings.file_bytes,
        "FILES": settings.run_files,
        "PROCESSES": settings.processes,
        "MEMORY_BYTES": settings.memory_bytes,
        "WORKSPACE_BYTES": settings.workspace_bytes,
        "LANGUAGES": ",".join(settings.languages),
        "READY_PORT": 0,
    }
    return {f"CODESESSION_{name}": str(value) for name, value in values.items()}


@dataclass(slots=True)
class _Claimed:
    sandbox: LocalSandbox
    principal: Principal
    touched: float
    """The loop's time when it was last asked for."""
    hint: str | None = None
    since: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def connect(self) -> Connection:
        connection = self.sandbox.child.connection
        if connection.lost:
            raise SandboxLost(f"the sandbox ended: {connection.lost}")
        return connection

    def idle_since(self) -> float | None:
        """None while a request is under way."""
        connection = self.sandbox.child.connection
        return None if connection.requests else max(self.touched, connection.last_used)


class LocalSandboxes:
    """Made by `open_local`."""

    def __init__(self, settings: Settings, launcher: Launcher, directory: WorkDirectory) -> None:
        self._settings = settings
        self._launcher = launcher
        self._directory = directory
        self._limits = Limits(
            settings.run_seconds, settings.output_bytes, settings.file_bytes, settings.run_files
        )
        self._loop = asyncio.get_running_loop()
        self._claimed: dict[str, _Claimed] = {}
        self._warm: list[LocalSandbox] = []
        self._starting = 0
        self._ahead: asyncio.Task[bool] | None = None
        self._failure: StartError | None = None
        self._taken = asyncio.Event()
        self._tasks = [self._loop.create_task(self._refill()), self._loop.create_task(self._end_idle())]

    @property
    def isolation(self) -> str:
        return self._launcher.kind.value

    async def find(self, session_id: str, principal: Principal, *, wake: bool = False) -> Sandbox | None:
        """None is ever suspended here, so that nothing is to wake."""
        claimed = self._claimed.get(session_id)
        if claimed is None or claimed.principal != principal:
            return None
        if claimed.sandbox.child.connection.lost:
            await self._end(session_id)
            return None
        claimed.touched = self._loop.time()
        return Session(session_id, claimed, self._limits)

    async def hinted(self, hint: str, principal: Principal, but: Container[str] = ()) -> Sandbox | None:
        same = [session for session, claimed in self._claimed.items() if claimed.hint == hint]
        for session in same:
            if session not in but and (found := await self.find(session, principal)):
                return found
        return None

    async def claim(
        self, principal: Principal, hint: str | None = None, *, one_shot: bool = False
    ) -> Sandbox:
        begun, pool = time.perf_counter(), "hit" if self._warm else "miss"
        # `one_shot` is of no use here: room is made when somebody needs it.
        sandbox = await self._take()
        metrics.CLAIM_SECONDS.labels(pool).observe(time.perf_counter() - begun)
        claimed = _Claimed(sandbox, principal, self._loop.time(), hint)
        self._claimed[sandbox.session_id] = claimed
        self._taken.set()
        return Session(sandbox.session_id, claimed, self._limits)

    def sessions(self, principal: Principal) -> list[Live]:
        live = [
            self._told(session_id, claimed)
            for session_id, claimed in self._claimed.items()
            if claimed.principal == principal and not claimed.sandbox.child.connection.lost
        ]
        return sorted(live, key=lambda one: one.claimed, reverse=True)

    def _told(self, session_id: str, claimed: _Claimed) -> Live:
        since, now = claimed.idle_since(), self._loop.time()
        left = self._settings.local_idle_seconds - (0.0 if since is None else now - since)
        return Live(session_id, claimed.since, datetime.now(UTC) + timedelta(seconds=max(left, 0)))

    async def delete(self, session_id: str, principal: Principal) -> bool:
        claimed = self._claimed.get(session_id)
        if claimed is None or claimed.principal != principal:
            return False
        await self._end(session_id)
        return True

    async def check(self) -> None:
        if self._failure and not self._warm:
            raise SandboxesUnavailable(f"no sandbox starts: {self._failure}")

    async def aclose(self) -> None:
        tasks = [*self._tasks, *([self._ahead] if self._ahead else [])]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        alive = [*self._warm, *(claimed.sandbox for claimed in self._claimed.values())]
        self._warm.clear()
        self._claimed.clear()
        await asyncio.gather(*(sandbox.aclose() for sandbox in alive))
        self._directory.close()

    @property
    def _alive(self) -> int:
        return len(self._claimed) + len(self._warm) + self._starting

    async def _pop_warm(self) -> LocalSandbox | None:
        while self._warm:
            sandbox = self._warm.pop(0)
            if not sandbox.child.connection.lost:
                return sandbox
            await sandbox.aclose()
        return None

    async def _take(self) -> LocalSandbox:
        """One started ahead, or else a new one, in the place of one out of use when there are too many."""
        while (sandbox := await self._pop_warm()) is None:
            if self._alive < self._settings.local_sandboxes:
                try:
                    return await self._start()
                except StartError as error:
                    raise SandboxesUnavailable(f"the sandbox did not start: {error}") from error
            if self._ahead:
                await asyncio.wait([self._ahead])
            else:
                await self._end_least_used()
        return sandbox

    async def _end_least_used(self) -> None:
        latest = self._loop.time() - _SPARE_SECONDS
        idle = {name: claimed.idle_since() for name, claimed in self._claimed.items()}
        unused = {name: since for name, since in idle.items() if since is not None and since <= latest}
        if not unused:
            raise SandboxesBusy(f"all {self._settings.local_sandboxes} sandboxes are in use")
        await self._end(min(unused, key=unused.__getitem__))

    async def _start(self) -> LocalSandbox:
        self._starting += 1
        try:
            sandbox = await self._launcher.launch(new_id())
        except StartError as error:
            self._failure = error
            raise
        finally:
            self._starting -= 1
        self._failure = None
        return sandbox

    async def _refill(self) -> None:
        """Keep sandboxes started ahead."""
        while True:
            self._taken.clear()
            missing = self._settings.local_warm - len(self._warm)
            if missing <= 0 or self._alive >= self._settings.local_sandboxes:
                await self._taken.wait()
                continue
            self._ahead = self._loop.create_task(self._start_ahead())
            started, self._ahead = await self._ahead, None
            if not started:
                await asyncio.sleep(_RETRY_SECONDS)

    async def _start_ahead(self) -> bool:
        try:
            self._warm.append(await self._start())
        except StartError as error:
            logger.error("no sandbox could be started ahead: %s", error)
            return False
        return True

    async def _end_idle(self) -> None:
        while True:
            now = self._loop.time()
            for session_id, claimed in list(self._claimed.items()):
                since = claimed.idle_since()
                if since is not None and now - since >= self._settings.local_idle_seconds:
                    await self._end(session_id)
            await asyncio.sleep(min(self._settings.local_idle_seconds / 4, 30))

    async def _end(self, session_id: str) -> None:
        if claimed := self._claimed.pop(session_id, None):
            await claimed.sandbox.aclose()
            self._taken.set()
