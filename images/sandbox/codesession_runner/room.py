"""The size of the workspace, kept where its volume does not: looked at while a run goes on, and after it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

LOOK_SECONDS = 0.25
_REST = 10
"""A look may take long; this many times as long nothing is looked at."""
_BLOCK = 512


class Room:
    def __init__(self, root: str, limit: int) -> None:
        """`limit` is in bytes on disk; 0 for none."""
        self._root = root
        self._limit = limit
        self._taken = 0
        """Bytes at the last look."""
        self._after: asyncio.Task[None] | None = None

    async def is_full(self) -> bool:
        """Whether the runs until now have left more than there may be."""
        if self._after is not None:
            await self._after
        return bool(self._limit) and self._taken > self._limit

    def notice(self) -> str:
        return f"the workspace is full: it may have {self._limit} bytes, and has {self._taken}"

    @contextlib.asynccontextmanager
    async def watched(self, on_full: Callable[[], None]) -> AsyncIterator[None]:
        """Hold during a run. `on_full` is called when the workspace grows past its limit, or past what it had
        at the beginning if that was more already: a run that makes room may end."""
        if not self._limit:
            yield
            return
        watch = asyncio.create_task(self._watch(max(self._limit, self._taken), on_full))
        try:
            yield
        finally:
            watch.cancel()
            self._after = asyncio.create_task(self._look())

    async def _watch(self, allowed: int, on_full: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        pause = LOOK_SECONDS
        while True:
            await asyncio.sleep(pause)
            began = loop.time()
            await self._look()
            if self._taken > allowed:
                on_full()
                return
            pause = max(LOOK_SECONDS, _REST * (loop.time() - began))

    async def _look(self) -> None:
        with contextlib.suppress(RuntimeError):  # no thread can be started in a sandbox full of processes
            self._taken = await asyncio.to_thread(taken, self._root, self._limit)


def taken(root: str, enough: int) -> int:
    """Bytes on disk of all below a directory, whatever its name; not counted on past twice `enough`.

    A hole in a file takes nothing. What is deleted and still open cannot be seen.
    """
    total = 0
    pending = [root]
    while pending and total <= 2 * enough:
        path = pending.pop()
        try:
            size, below = _look_into(path)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # too deep to be counted: nobody gets there but to hide
                return 2 * enough + 1
            continue
        total += size
        pending += below
    return total


def _look_into(path: str) -> tuple[int, list[str]]:
    """Bytes of a directory's entries, and its directories."""
    size, below = 0, []
    with _opened(path) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                size += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
    return size, below


def _opened(path: str) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
    """Also of a directory that its own user closed to itself."""
    try:
        return os.scandir(path)
    except PermissionError:
        Path(path).chmod(stat.S_IRWXU)
        return os.scandir(path)
