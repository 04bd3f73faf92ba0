"""The runner's side of a fork server: children kept ready, and word of how each one ended.

User code has the same uid and may kill or stop all of it. So nothing here is started again while a run goes
on: `replenish` is called when one has ended, and by `take` when it finds nothing ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codesession_runner.forkserver import MAX_MESSAGE
from codesession_runner.processes import send_signal, signal_group
from codesession_runner.program import BEGUN, MAX_WORD, OUT_OF_MEMORY, Program

CONTROL_DESCRIPTOR = 3
_RETRY_SECONDS = 0.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child ended: the wait status and the processor seconds of it and what it waited for."""

    status: int
    cpu: float

    @property
    def code(self) -> int | None:
        return os.WEXITSTATUS(self.status) if os.WIFEXITED(self.status) else None

    @property
    def signal(self) -> int | None:
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else None


class Child:
    """A process that waits for its program; its pid is its process group and session too."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[Exit] = self._loop.create_future()
        self._connection = connection
        connection.setblocking(False)

    def start(self, program: Program, descriptors: Sequence[int]) -> None:
        """Hand over the program and its three descriptors; OSError when the child is gone."""
        send_signal(self.pid, signal.SIGCONT)  # before, for a program may be quick to stop itself
        socket.send_fds(self._connection, [program.encode()], descriptors)

    async def ended(self) -> Exit:
        """How the program ended."""
        return await self.exited

    def signal(self, number: signal.Signals) -> None:
        if not self.exited.done():
            signal_group(self.pid, number)

    def reports(self) -> tuple[bool, bool]:
        """Whether the program began, and whether it ran out of memory; to be asked once, at its end."""
        words = []
        with contextlib.suppress(OSError):
            while word := self._connection.recv(MAX_WORD):
                words.append(word)
        return BEGUN in words[:1], OUT_OF_MEMORY in words[1:]

    def close(self) -> None:
        self._connection.close()


class ChildPool:
    def __init__(self, size: int, preload: Sequence[str], environment: Mapping[str, str]) -> None:
        self._size = size
        self._preload = preload
        self._environment = environment
        self._loop = asyncio.get_running_loop()
        self._children: dict[int, Child] = {}
        self._ready: list[Child] = []
        self._arrived = asyncio.Event()
        self._asked = 0
        self._waiting = 0
        self._closing = False
        self._control: socket.socket | None = None
        self.server = 0
        """The fork server's pid; 0 while there is none."""

    async def start(self) -> None:
        """Return when every child of the pool is ready."""
        self.replenish()
        while len(self._ready) < self._size:
            await self._arrival()

    async def take(self) -> Child:
        """A child that was ready a moment ago; waits for one if need be."""
        if not self._ready:
            self.replenish()
        while not self._ready:
            await self._arrival()
        return self._ready.pop(0)

    def replenish(self) -> None:
        """Ask for what is missing, and for a new fork server when the last one is gone."""
        if self._control is None:
            try:
                self._control = self._spawn()
            except OSError as error:
                logger.warning("no fork server could be started: %s", error.strerror)
                self._retry()
                return
        self.resume()
        while len(self._ready) + self._asked < self._size:
            try:
                self._control.send(b"{}")
            except OSError:
                return  # its end is on the way to `_read`
            self._asked += 1

    def resume(self) -> None:
        """Undo a SIGSTOP of the fork server."""
        if self.server:
            send_signal(self.server, signal.SIGCONT)

    def kill_server(self) -> None:
        """Kill a fork server that does not answer; its children become the runner's own."""
        if self.server:
            send_signal(self.server, signal.SIGKILL)

    def reaped(self, pid: int, how: Exit) -> None:
        """Take note of a process that the runner has waited for: the server, or a child that outlived it."""
        if pid == self.server:
            self.server = 0  # its number is anyone's from now on
            self._lost()
        else:
            self._ended(pid, how)

    def close(self) -> None:
        self._closing = True
        self._size = 0
        self.kill_server()
        self._lost()

    def _spawn(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        package = str(Path(__file__).parent)
        with theirs:
            self.server = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-X", "utf8", package, "--fork-server", *self._preload],
                dict(self._environment),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
                    (os.POSIX_SPAWN_DUP2, 0, 1),
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), CONTROL_DESCRIPTOR),
                ],
                setsigmask=(),
                setsigdef=(signal.SIGTERM, signal.SIGINT),
            )
        ours.setblocking(False)
        self._loop.add_reader(ours, self._read, ours)
        return ours

    def _read(self, control: socket.socket) -> None:
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(control, MAX_MESSAGE, 1)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lost()
                return
            self._hear(json.loads(data), descriptors)

    def _hear(self, message: Mapping[str, int], descriptors: list[int]) -> None:
        if "ready" in message:
            self._asked -= 1
            child = Child(message["ready"], socket.socket(fileno=descriptors[0]))
            self._children[child.pid] = child
            self._ready.append(child)
            self._arrived.set()
        elif "exit" in message:
            self._ended(message["exit"], Exit(message["status"], message["cpu"]))
        else:
            logger.warning("no child could be forked: %s", os.strerror(message["failed"]))
            self._asked -= 1
            self._retry()

    def _ended(self, pid: int, how: Exit) -> None:
        child = self._children.pop(pid, None)
        if child is None:
            return
        if not child.exited.done():  # cancelled with the run, when the runner stops
            child.exited.set_result(how)
        if child in self._ready:
            self._ready.remove(child)
            child.close()

    def _lost(self) -> None:
        """Forget the fork server; children that wait end with their sockets."""
        if self._control is None:
            return
        self.kill_server()
        self._loop.remove_reader(self._control)
        self._control.close()
        self._control = None
        self.server = 0
        self._asked = 0
        for child in self._ready:
            child.close()
        self._ready.clear()
        for pid in list(self._children):
            if not _exists(pid):  # reaped by the server, which can no longer tell how it ended
                self._ended(pid, Exit(signal.SIGKILL, 0.0))
        if not self._closing:
            logger.warning("the fork server is gone")
            self._retry()

    def _retry(self) -> None:
        if self._waiting:
            self._loop.call_later(_RETRY_SECONDS, self.replenish)

    async def _arrival(self) -> None:
        self._waiting += 1
        try:
            self._arrived.clear()
            await self._arrived.wait()
        finally:
            self._waiting -= 1


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
