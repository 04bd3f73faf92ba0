"""A run in one child: its pipes, its limits, its end, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

from codesession_runner.capture import Capture
from codesession_runner.clock import Clock
from codesession_runner.errors import os_errors
from codesession_runner.frames import Kind
from codesession_runner.gates import Gate, open_gate
from codesession_runner.interpreters import LOST, Interpreters
from codesession_runner.kernel import counts_sandbox
from codesession_runner.live_child import LiveChild
from codesession_runner.pool import Child, Exit
from codesession_runner.program import Program
from codesession_runner.run import Outcome, Run
from codesession_runner.settings import Settings

TERM_SECONDS = 2.0
_CANCEL_SECONDS = 0.5
"""Nobody waits for what a cancelled program would still say."""
WATCH_SECONDS = 0.25
_SERVER_SECONDS = 1.0
_DRAIN_SECONDS = 1.0
_ROUNDS = 20
"""Times that the processor time of a program with tools may be that of its timeout."""
_OPEN_FILES = 4096
_MORE_TASKS = 64
"""Threads that a sandbox has beside one for each process of a run: further ones of it, and the runner's."""
_ASKED_FOR = 2
"""Times its memory that a program which is executed may ask for: most use less than that, and what they use
is looked at. Python, which can go on when it is refused some, is told at once."""


class Attempt:
    def __init__(self, run: Run, child: Child, interpreters: Interpreters, settings: Settings) -> None:
        self.verdict: Outcome | None = None
        """Why it was stopped, if it was."""
        self.out_of_memory = False
        self.wall = 0.0
        self._run = run
        self._child = child
        self._interpreters = interpreters
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._captures = [self._capture(kind) for kind in (Kind.STDOUT, Kind.STDERR)]
        self._timers: list[asyncio.TimerHandle] = []
        self._over = False
        self._gate: Gate | None = None
        self._clock = Clock(run.timeout, self.stop)

    @property
    def truncated(self) -> bool:
        return any(capture.exceeded for capture in self._captures)

    def processes(self) -> set[int]:
        """All of the run's."""
        return self._interpreters.processes(self._child)

    async def carry_out(self, path: str) -> Exit | None:
        """How the program ended; None when the child was gone before it began, for no reason of its own."""
        try:
            if not self._start(path):
                return None
            exit_ = await self._child.ended()
            if self.verdict is not None:  # it is not to have another program, though this one has just ended
                await self._child.exited
                exit_ = await self._child.ended()
            self._over = True
            self.wall = self._clock.stop()
            begun, self.out_of_memory = self._child.reports()
            await self._clean_up()
            if self._run.live and begun and not self._staying():
                self._run.note(LOST)
            return exit_ if begun or self.verdict else None
        finally:
            self._release()

    def stop(self, verdict: Outcome, *, grace: float = TERM_SECONDS) -> None:
        """End the program: SIGTERM, after `grace` seconds SIGKILL; the first verdict stands."""
        if self.verdict is not None or self._over or self._child.exited.done():
            return
        self.verdict = verdict
        if self._run.calls:
            self._run.calls.close()
        if grace:
            self._child.signal(signal.SIGTERM)
            self._child.signal(signal.SIGCONT)
            self._later(grace, self._kill)
        else:
            self._kill()

    def _start(self, path: str) -> bool:
        if self._run.calls is not None:
            with os_errors():
                forked = self._run.language.forked_ahead
                self._gate = open_gate(self._run.calls, Path(path).parent, python=forked)
            self._run.calls.on_pause, self._run.calls.on_resume = self._clock.pause, self._clock.resume
        program = self._program(path)
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            given = self._gate.descriptors if self._gate else []
            self._child.start(program, [null, *(capture.writer for capture in self._captures), *given])
        except OSError:
            return False
        finally:
            os.close(null)
        for capture in self._captures:
            capture.close_writer()
        if self._gate:
            self._gate.started()
        self._run.on_cancel = lambda: self.stop(Outcome.CANCELLED, grace=_CANCEL_SECONDS)
        self._clock.start()
        self._later(WATCH_SECONDS, self._watch)
        return True

    def _program(self, path: str) -> Program:
        language, workspace = self._run.language, self._settings.workspace
        commands = language.commands(self._run.code).at(str(Path(path).parent), workspace)
        gate = self._gate.environment if self._gate else {}
        return Program(
            path=path,
            args=list(self._run.args),
            directory=workspace,
            limits=_limits(self._settings, self._processor_seconds(), python=language.forked_ahead),
            source=self._run.source,
            live=self._run.live,
            command=list(commands.run),
            compile=list(commands.compile),
            environment={**language.environment, **gate},
            linked=language.linked,
            tools=list(self._run.calls.tools) if self._run.calls else None,
        )

    def _processor_seconds(self) -> float | None:
        """The timeout as the kernel is to hold it; None for a process that outlives its run."""
        if self._run.live:
            return None
        return self._run.timeout * (_ROUNDS if self._run.calls else 1)

    def _capture(self, kind: Kind) -> Capture:
        return Capture(
            lambda data: self._run.write(kind, data), self._settings.output_bytes, self._exceeded_output
        )

    def _exceeded_output(self) -> None:
        self.stop(Outcome.OUTPUT_LIMIT, grace=0)

    def _watch(self) -> None:
        """No kernel limit counts a run's processes alone: this does."""
        self._interpreters.resume()
        if len(self.processes()) > self._settings.processes:
            self._run.note(b"killed: more than %d processes" % self._settings.processes)
            self.stop(Outcome.SIGNAL, grace=0)
        else:
            self._later(WATCH_SECONDS, self._watch)

    def _kill(self) -> None:
        self._interpreters.kill(self._child)
        # No word of its end by then: the fork server is stuck; without it the child is the runner's to reap.
        self._later(_SERVER_SECONDS, self._interpreters.kill_servers)

    async def _clean_up(self) -> None:
        self._cancel_timers()
        if self._run.calls:
            self._run.calls.close()
        if live := self._staying():
            live.rest()
            await self._interpreters.sweep(live)
            for capture in self._captures:
                capture.drain()
            return
        await self._interpreters.sweep()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                for capture in self._captures:
                    await capture.closed.wait()

    def _staying(self) -> LiveChild | None:
        """The child, if it is to have another program."""
        child = self._child
        return child if isinstance(child, LiveChild) and not child.gone else None

    def _later(self, seconds: float, callback: Callable[..., object], *args: object) -> None:
        self._timers.append(self._loop.call_later(seconds, callback, *args))

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _release(self) -> None:
        self._cancel_timers()
        self._clock.stop()
        self._run.on_cancel = lambda: None
        if self._gate:
            self._gate.close()
        for capture in self._captures:
            capture.close()
        if not self._staying():
            self._child.close()


def _limits(settings: Settings, timeout: float | None, *, python: bool) -> list[tuple[int, int]]:
    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, settings.file_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ]
    if timeout is not None:  # of a process that ends with its run
        # Wall time is what ends a run; processor time is the kernel's own bound should the runner be slow.
        limits.append((resource.RLIMIT_CPU, math.ceil(timeout + TERM_SECONDS) * (os.cpu_count() or 1)))
    if counts_sandbox():  # a flood of forks is faster than whoever counts and kills it
        limits.append((resource.RLIMIT_NPROC, settings.processes + _MORE_TASKS))
    if settings.memory_bytes:
        limits.append((resource.RLIMIT_DATA, settings.memory_bytes * (1 if python else _ASKED_FOR)))
    return limits
