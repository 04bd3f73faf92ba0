"""One run from start to end: a child, two pipes, the limits, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import math
import os
import resource
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from codesession_runner.capture import Capture
from codesession_runner.errors import OperationError
from codesession_runner.frames import Kind
from codesession_runner.pool import Child, ChildPool, Exit
from codesession_runner.processes import oom_kills
from codesession_runner.program import Program
from codesession_runner.run import Outcome, Run, end_of
from codesession_runner.settings import Settings
from codesession_runner.workspace import Workspace

TERM_SECONDS = 2.0
WATCH_SECONDS = 0.25
_CHILD_SECONDS = 60.0
_CHILD_ATTEMPTS = 8
_SERVER_SECONDS = 1.0
_DRAIN_SECONDS = 1.0
_OPEN_FILES = 4096


class Executor:
    """Executes runs in the children of a pool, over one workspace."""

    def __init__(self, settings: Settings, pool: ChildPool, workspace: Workspace) -> None:
        self._settings = settings
        self._pool = pool
        self._workspace = workspace
        self._oom_kills = oom_kills()

    async def __call__(self, run: Run) -> Mapping[str, Any]:
        """The payload of END, once no process of the run is left; `run.records` is filled in by then."""
        try:
            with _code_file(run) as path:
                for _ in range(_CHILD_ATTEMPTS):
                    if run.cancelled:
                        return end_of(Outcome.CANCELLED)
                    attempt = _Attempt(run, await self._child(), self._pool, self._settings)
                    exit_ = await attempt.carry_out(path)
                    if exit_ is not None:
                        return await self._end(run, attempt, exit_)
            raise OperationError("internal", "the sandbox's interpreters die before they start")
        finally:
            self._pool.replenish()

    async def _child(self) -> Child:
        try:
            async with asyncio.timeout(_CHILD_SECONDS):
                return await self._pool.take()
        except TimeoutError:
            raise OperationError("internal", "the sandbox has no interpreter ready") from None

    async def _end(self, run: Run, attempt: _Attempt, exit_: Exit) -> Mapping[str, Any]:
        run.records, dropped = await self._workspace.changes()
        return end_of(
            self._judge(exit_, attempt),
            exit_code=exit_.code,
            signal=exit_.signal,
            wall=attempt.wall,
            cpu=exit_.cpu,
            truncated=attempt.truncated,
            files_dropped=dropped,
        )

    def _judge(self, exit_: Exit, attempt: _Attempt) -> Outcome:
        if attempt.verdict is not None:
            return attempt.verdict
        if attempt.truncated:
            return Outcome.OUTPUT_LIMIT
        if attempt.out_of_memory or (exit_.signal == signal.SIGKILL and self._oom_killed()):
            return Outcome.OOM
        if exit_.signal == signal.SIGXCPU:
            return Outcome.TIMEOUT
        return Outcome.EXIT if exit_.signal is None else Outcome.SIGNAL

    def _oom_killed(self) -> bool:
        before, self._oom_kills = self._oom_kills, oom_kills()
        return self._oom_kills > before


class _Attempt:
    """A run in one child."""

    def __init__(self, run: Run, child: Child, pool: ChildPool, settings: Settings) -> None:
        self.verdict: Outcome | None = None
        """Why it was stopped, if it was."""
        self.out_of_memory = False
        self.wall = 0.0
        self._run = run
        self._child = child
        self._pool = pool
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._captures = [self._capture(kind) for kind in (Kind.STDOUT, Kind.STDERR)]
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def truncated(self) -> bool:
        return any(capture.exceeded for capture in self._captures)

    async def carry_out(self, path: str) -> Exit | None:
        """How the program ended; None when the child was gone before it began."""
        started = time.perf_counter()
        try:
            if not self._start(path):
                return None
            exit_ = await self._child.exited
            self.wall = time.perf_counter() - started
            begun, self.out_of_memory = self._child.reports()
            await self._clean_up()
            return exit_ if begun else None
        finally:
            self._release()

    def stop(self, verdict: Outcome, *, grace: float = TERM_SECONDS) -> None:
        """End the program: SIGTERM, after `grace` seconds SIGKILL; the first verdict stands."""
        if self.verdict is not None or self._child.exited.done():
            return
        self.verdict = verdict
        if grace:
            self._child.signal(signal.SIGTERM)
            self._child.signal(signal.SIGCONT)
        self._later(grace, self._kill)

    def _start(self, path: str) -> bool:
        program = Program(
            path=path,
            args=list(self._run.args),
            interpreter=self._run.language.interpreter,
            directory=self._settings.workspace,
            limits=_limits(self._settings, self._run.timeout),
        )
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._child.start(program, [null, *(capture.writer for capture in self._captures)])
        except OSError:
            return False
        finally:
            os.close(null)
        for capture in self._captures:
            capture.close_writer()
        self._run.on_cancel = lambda: self.stop(Outcome.CANCELLED)
        self._later(self._run.timeout, self.stop, Outcome.TIMEOUT)
        self._later(WATCH_SECONDS, self._watch)
        return True

    def _capture(self, kind: Kind) -> Capture:
        return Capture(
            lambda data: self._run.write(kind, data), self._settings.output_bytes, self._exceeded_output
        )

    def _exceeded_output(self) -> None:
        self.stop(Outcome.OUTPUT_LIMIT, grace=0)

    def _watch(self) -> None:
        """Where no kernel limit counts a run's processes alone (gVisor has none at all), this does."""
        self._pool.resume()
        if len(self._pool.processes(self._child)) > self._settings.processes:
            self._run.write(Kind.STDERR, b"killed: more than %d processes\n" % self._settings.processes)
            self.stop(Outcome.SIGNAL, grace=0)
        else:
            self._later(WATCH_SECONDS, self._watch)

    def _kill(self) -> None:
        self._child.signal(signal.SIGKILL)
        # No word of its end by then: the fork server is stuck; without it the child is the runner's to reap.
        self._later(_SERVER_SECONDS, self._pool.kill_server)

    async def _clean_up(self) -> None:
        self._cancel_timers()
        await self._pool.sweep()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                for capture in self._captures:
                    await capture.closed.wait()

    def _later(self, seconds: float, callback: Callable[..., object], *args: object) -> None:
        self._timers.append(self._loop.call_later(seconds, callback, *args))

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _release(self) -> None:
        self._cancel_timers()
        self._run.on_cancel = lambda: None
        for capture in self._captures:
            capture.close()
        self._child.close()


@contextlib.contextmanager
def _code_file(run: Run) -> Iterator[str]:
    """The code as a file in a directory of its own, for as long as the run lasts."""
    with _room():
        directory = Path(tempfile.gettempdir(), f"run-{secrets.token_hex(6)}")
        directory.mkdir(mode=0o700)
    try:
        path = directory / run.language.file_name
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


def _limits(settings: Settings, timeout: float) -> list[tuple[int, int]]:
    # Wall time is what ends a run; processor time is the kernel's own bound should the runner be slow.
    processor = math.ceil(timeout + TERM_SECONDS) * (os.cpu_count() or 1)
    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, processor),
        (resource.RLIMIT_FSIZE, settings.file_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ]
    if settings.memory_bytes:
        limits.append((resource.RLIMIT_DATA, settings.memory_bytes))
    return limits
