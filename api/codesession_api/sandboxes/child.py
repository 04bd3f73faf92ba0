"""A runner as a child process, in whatever isolation; its standard streams are the connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence

from codesession_api.sandboxes.connection import Connection, ConnectionLost
from codesession_api.sandboxes.refusals import one_line
from codesession_api.sandboxes.transport import CHUNK, StreamTransport

START_SECONDS = 60.0
_LEAVE_SECONDS = 2.0
_END_SECONDS = 5.0
_TAIL = 2048


class StartError(Exception):
    """The child did not become a runner; one line says why."""


class Child:
    """Made by `start`; it must be closed."""

    def __init__(self, process: asyncio.subprocess.Process, connection: Connection, tail: Tail) -> None:
        self.connection = connection
        self._process = process
        self._tail = tail

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: dict[str, str], descriptors: Sequence[int] = ()
    ) -> Child:
        """Start `command`, which inherits `descriptors`, and wait for HELLO, which the runner says when it is
        ready. Raises StartError."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                pass_fds=descriptors,
                limit=CHUNK,
                # Ctrl-C at the terminal is for the server alone.
                start_new_session=True,
            )
        except OSError as error:
            raise StartError(f"{command[0]}: {error.strerror}") from error
        assert process.stdin
        assert process.stdout
        assert process.stderr
        tail = Tail(process.stderr)
        try:
            transport = StreamTransport(process.stdout, process.stdin)
            return cls(process, await Connection.open(transport, timeout=START_SECONDS), tail)
        except BaseException as error:
            await _end(process, tail)
            if isinstance(error, ConnectionLost):
                raise StartError(tail.last_line() or str(error)) from error
            raise

    async def aclose(self) -> None:
        await self.connection.aclose()
        await _end(self._process, self._tail)


class Tail:
    """Reads a child's standard error so that it never blocks, and keeps the end of it."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._kept = b""
        self._task = asyncio.get_running_loop().create_task(self._read(stream))

    def last_line(self) -> str:
        lines = self._kept.decode("utf-8", "replace").split("\n")
        return one_line(next((line for line in reversed(lines) if line.strip()), ""))

    async def closed(self) -> None:
        """Wait until the child has no more to say; not long, since a grandchild may hold the other end."""
        _, pending = await asyncio.wait([self._task], timeout=_END_SECONDS)
        for task in pending:
            task.cancel()

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while data := await stream.read(CHUNK):
            self._kept = (self._kept + data)[-_TAIL:]


async def _end(process: asyncio.subprocess.Process, tail: Tail) -> None:
    """End it: its input is closed already, which ends a runner that is well; any other is killed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LEAVE_SECONDS):
            await process.wait()
    if process.returncode is None:
        # Not process.kill(), which may reap it under the hands of asyncio's watcher.
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    await tail.closed()
