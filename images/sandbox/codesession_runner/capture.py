"""What a program writes to one of its streams, read as it comes and never past the limit."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

_READ = 64 * 1024


class Capture:
    """A pipe: `writer` is for the program, its bytes go to `write`; `on_excess` hears of too many."""

    def __init__(self, write: Callable[[bytes], None], limit: int, on_excess: Callable[[], None]) -> None:
        self._write = write
        self._room = limit
        self._on_excess = on_excess
        self._loop = asyncio.get_running_loop()
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._loop.add_reader(self._reader, self._read)
        self.exceeded = False
        self.closed = asyncio.Event()

    def close_writer(self) -> None:
        """Give up this process's end, once the program has its own."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def close(self) -> None:
        self.close_writer()
        if not self.closed.is_set():
            self.closed.set()
            self._loop.remove_reader(self._reader)
            os.close(self._reader)

    def drain(self) -> None:
        """Take what is left and close, though someone may hold the other end still."""
        with contextlib.suppress(BlockingIOError):
            while not self.closed.is_set():
                self._read()
        self.close()

    def _read(self) -> None:
        data = os.read(self._reader, _READ)
        if data and self._room:
            self._write(data[: self._room])
        self.exceeded = len(data) > self._room
        self._room -= min(len(data), self._room)
        if self.exceeded:
            self.close()
            self._on_excess()
        elif not data:
            self.close()
