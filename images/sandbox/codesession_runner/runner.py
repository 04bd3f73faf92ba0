"""The runner as a whole: its parts put together, started in order, stopped in order."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import threading
from collections.abc import Callable

from codesession_runner import stdio
from codesession_runner.connection import Connection
from codesession_runner.executor import Executor
from codesession_runner.frames import VERSION
from codesession_runner.interpreters import Interpreters
from codesession_runner.languages import available
from codesession_runner.operations import Operations
from codesession_runner.processes import become_subreaper, require_children, set_dumpable
from codesession_runner.run import Run
from codesession_runner.runs import Runs
from codesession_runner.server import SocketServer, announce_ready
from codesession_runner.settings import RUNNER_VERSION, Settings, user_environment
from codesession_runner.workspace import Workspace

_REHEARSED = (b"print(1)", b"try:\n    import pandas\nexcept ImportError:\n    pass")
"""A program for each kind of interpreter."""
_REHEARSAL_SECONDS = 60.0


class Runner:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopped = asyncio.Event()
        self._workspace = Workspace(settings.workspace, file_bytes=settings.file_bytes, files=settings.files)
        self._interpreters = Interpreters(settings, user_environment(os.environ))
        self._executor = Executor(settings, self._interpreters, self._workspace)
        self._runs = Runs(self._executor)
        self._languages = available(settings.languages)
        self._operations = Operations(self._runs, self._workspace, self._languages, settings.run_seconds)
        self._hello = {
            "protocol": VERSION,
            "runner": RUNNER_VERSION,
            "boot": secrets.token_hex(8),
            "languages": list(self._languages),
            "limits": settings.limits(),
        }

    async def serve(self, streams: tuple[int, int] | None = None) -> None:
        """Serve the socket, or with `streams` those alone, until SIGTERM or the end of the streams.

        Nobody is greeted before interpreters are ready and have run something: HELLO says that a run would
        start at once, and the first is not slower than the others for all that it touches first.
        """
        set_dumpable(False)
        require_children()
        become_subreaper()
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._interpreters.reap)
        _on_stop_signal(self._stopped.set)
        try:
            async with asyncio.TaskGroup() as tasks:
                background = [tasks.create_task(self._runs.work())]
                starting = self._serve_socket() if streams is None else self._serve_streams(*streams)
                background.append(tasks.create_task(starting))
                await self._stopped.wait()
                for task in background:
                    task.cancel()
        finally:
            self._interpreters.close()
            await self._interpreters.sweep()

    async def _serve_socket(self) -> None:
        await self._start()
        server = SocketServer(self._settings.socket, self._connection)
        try:
            if self._settings.ready_port:
                await announce_ready(self._settings.ready_port)
            await server.serve()
        finally:
            server.close()

    async def _serve_streams(self, incoming: int, outgoing: int) -> None:
        await self._start()
        await stdio.serve(self._connection(lambda connection: self._stopped.set()), incoming, outgoing)

    async def _start(self) -> None:
        await self._interpreters.start()
        python = available(["py"])["py"]
        for code in _REHEARSED:
            run = Run("rehearsal", python, code, (), _REHEARSAL_SECONDS)
            end = await self._executor(run)
            if end["exit_code"] != 0:
                raise RuntimeError(f"a program as simple as can be ends with {end}")
        await self._interpreters.start()

    def _connection(self, on_lost: Callable[[Connection], None]) -> Connection:
        return Connection(self._hello, self._operations, on_lost=on_lost)


def _on_stop_signal(stop: Callable[[], None]) -> None:
    """Call `stop` in the loop on SIGTERM or SIGINT; as PID 1 only when it comes from outside the sandbox.

    The kernel keeps a program from killing PID 1, but not from asking it to stop; only sigwaitinfo tells who
    asks, and a sender in another PID namespace is nobody (0).
    """
    numbers = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    loop = asyncio.get_running_loop()

    def wait() -> None:
        while True:
            sender = signal.sigwaitinfo(numbers).si_pid
            if os.getpid() != 1 or sender == 0:
                loop.call_soon_threadsafe(stop)
                return

    threading.Thread(target=wait, name="stop-signal", daemon=True).start()
