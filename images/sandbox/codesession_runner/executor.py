"""Runs carried out one by one: the code for a child, the child that runs it, a verdict on how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import functools
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from codesession_runner.attempt import Attempt
from codesession_runner.errors import OperationError
from codesession_runner.frames import Kind
from codesession_runner.interpreters import Interpreters
from codesession_runner.kernel import is_gvisor
from codesession_runner.languages import says_out_of_memory
from codesession_runner.memory import Memory
from codesession_runner.pool import Child, Exit
from codesession_runner.processes import oom_kills
from codesession_runner.room import Room
from codesession_runner.run import Outcome, Run, end_of
from codesession_runner.settings import Settings
from codesession_runner.workspace import Workspace

_CHILD_SECONDS = 60.0
_CHILD_ATTEMPTS = 8
_RELIEVED = (
    b"The files in /tmp and /dev/shm took too much memory and are deleted. Those of the session are kept."
)


class Executor:
    """Executes runs in interpreters that were kept ready, over one workspace."""

    def __init__(self, settings: Settings, interpreters: Interpreters, workspace: Workspace) -> None:
        self._settings = settings
        self._interpreters = interpreters
        self._workspace = workspace
        self._room = Room(settings.workspace, settings.workspace_bytes)
        self._memory = Memory(
            settings.memory_bytes,
            settings.memory_directories,
            workspace=settings.workspace,
            own_kernel=is_gvisor(),
        )
        self._oom_kills = oom_kills()

    async def __call__(self, run: Run) -> Mapping[str, Any]:
        """The payload of END, once no process of the run is left; `run.records` is filled in by then."""
        try:
            settings = await self._settings_for(run)
            with _code_file(run) as path:
                for _ in range(_CHILD_ATTEMPTS):
                    if run.cancelled:
                        return end_of(Outcome.CANCELLED)
                    attempt = Attempt(run, await self._child(run), self._interpreters, settings)
                    async with (
                        self._room.watched(functools.partial(self._full, run, attempt)),
                        self._memory.watched(
                            attempt.processes, functools.partial(self._hungry, run, attempt)
                        ),
                    ):
                        exit_ = await attempt.carry_out(path)
                    if exit_ is not None:
                        return await self._end(run, attempt, exit_)
            raise OperationError("internal", "the sandbox's interpreters die before they start")
        finally:
            self._interpreters.replenish()

    async def _settings_for(self, run: Run) -> Settings:
        """A run in a full workspace may read and delete, and write nothing."""
        if not await self._room.is_full():
            return self._settings
        run.note(f"{self._room.notice()}; delete files to write new ones".encode())
        return dataclasses.replace(self._settings, file_bytes=0)

    def _full(self, run: Run, attempt: Attempt) -> None:
        run.note(f"killed: {self._room.notice()}".encode())
        attempt.stop(Outcome.SIGNAL, grace=0)

    def _hungry(self, run: Run, attempt: Attempt, taken: int) -> None:
        run.note(self._memory.notice(taken).encode())
        attempt.stop(Outcome.OOM, grace=0)

    async def _child(self, run: Run) -> Child:
        try:
            async with asyncio.timeout(_CHILD_SECONDS):
                return await self._interpreters.take(run)
        except TimeoutError:
            raise OperationError("internal", "the sandbox has no interpreter ready") from None

    async def _end(self, run: Run, attempt: Attempt, exit_: Exit) -> Mapping[str, Any]:
        run.records, dropped = await self._workspace.changes()
        outcome = self._judge(run, exit_, attempt)
        if outcome is Outcome.OOM and await self._memory.relieve():
            run.note(_RELIEVED)
        return end_of(
            outcome,
            exit_code=exit_.code,
            signal=exit_.signal,
            wall=attempt.wall,
            cpu=exit_.cpu,
            truncated=attempt.truncated,
            files_dropped=dropped,
        )

    def _judge(self, run: Run, exit_: Exit, attempt: Attempt) -> Outcome:
        if attempt.verdict is not None:
            return attempt.verdict
        if attempt.truncated:
            return Outcome.OUTPUT_LIMIT
        if attempt.out_of_memory or (exit_.signal == signal.SIGKILL and self._oom_killed()):
            return Outcome.OOM
        if exit_.status and not run.language.forked_ahead and says_out_of_memory(run.output[Kind.STDERR]):
            return Outcome.OOM
        if exit_.signal == signal.SIGXCPU:
            return Outcome.TIMEOUT
        return Outcome.EXIT if exit_.signal is None else Outcome.SIGNAL

    def _oom_killed(self) -> bool:
        before, self._oom_kills = self._oom_kills, oom_kills()
        return self._oom_kills > before


@contextlib.contextmanager
def _code_file(run: Run) -> Iterator[str]:
    """The code as a file in a directory of its own, for as long as the run lasts; or just the name of one."""
    directory = Path(tempfile.gettempdir(), f"run-{secrets.token_hex(6)}")
    path = directory / run.language.commands(run.code).file
    if run.source is not None:
        yield str(path)
        return
    with _room():
        directory.mkdir(mode=0o700)
    try:
        with _room():
            path.write_bytes(run.code)
        yield str(path)
    finally:
        try:
            path.unlink()
            directory.rmdir()
        except OSError:  # whatever the program left there may take long to remove
            loop = asyncio.get_running_loop()
            loop.run_in_executor(None, functools.partial(shutil.rmtree, directory, ignore_errors=True))


@contextlib.contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OperationError("no_space", "no room for the code in the sandbox's /tmp") from error
        raise
