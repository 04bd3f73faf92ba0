"""The runner's side of a live interpreter (`live`): a child that is handed one program after another."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

from codesession_runner.pool import Child, Exit
from codesession_runner.processes import send_signal
from codesession_runner.program import BEGUN, MAX_WORD, OUT_OF_MEMORY, Program, parse_ended

_WORDS = 16
"""Taken at a time: a program may send more, and others are served too."""


class LiveChild(Child):
    """A child that stays when its program has ended, and takes the next; made from one that is ready.

    Its words are those of the program, which may send any at any time: they can end this program's run, in
    which case the process is stopped all the same, and nothing else.
    """

    def __init__(self, child: Child) -> None:
        super().__init__(child.pid, child._connection)
        self.exited = child.exited
        self.used = False
        """Whether a program has begun in it."""
        self._deaf = self._begun = self._out_of_memory = False
        self._spent = 0.0
        """Processor seconds of the programs that have ended."""
        self._ended: asyncio.Future[Exit] = self._loop.create_future()

    def start(self, program: Program, descriptors: Sequence[int]) -> None:
        super().reports()  # what was said since the last one ended
        self._begun = self._out_of_memory = False
        self._ended = self._loop.create_future()
        self._loop.add_reader(self._connection, self._listen)
        try:
            super().start(program, descriptors)
        except OSError:  # gone, or deaf: a program may close whatever it finds
            self.signal(signal.SIGKILL)
            self._deaf = True
            raise

    @property
    def gone(self) -> bool:
        return self._deaf or self.exited.done()

    async def ended(self) -> Exit:
        await asyncio.wait([self.exited, self._ended], return_when=asyncio.FIRST_COMPLETED)
        if not self.exited.done():
            return self._ended.result()
        exit_ = self.exited.result()
        return Exit(exit_.status, max(exit_.cpu - self._spent, 0.0))

    def rest(self) -> None:
        """Stop the process until the next program; what it has started is not meant."""
        self._loop.remove_reader(self._connection)
        send_signal(self.pid, signal.SIGSTOP)

    def reports(self) -> tuple[bool, bool]:
        self._listen()
        begun = self._begun or self._ended.done()
        self.used |= begun
        return begun, self._out_of_memory

    def close(self) -> None:
        """May be called again: it may be found lost by its run, and by the next."""
        if self._connection.fileno() >= 0:
            self._loop.remove_reader(self._connection)
            super().close()

    def _listen(self) -> None:
        for _ in range(_WORDS):
            try:
                word = self._connection.recv(MAX_WORD)
            except BlockingIOError:
                return
            except OSError:
                word = b""
            if not word:  # closed by the program; the process ends with it
                self._loop.remove_reader(self._connection)
                return
            self._hear(word)

    def _hear(self, word: bytes) -> None:
        if word == BEGUN:
            self._begun = True
        elif word == OUT_OF_MEMORY:
            self._out_of_memory = True
        elif (end := parse_ended(word)) and not self._ended.done():
            status, cpu = end
            self._spent += cpu
            self._ended.set_result(Exit(status << 8, cpu))
