"""The memory of a run: its processes and the memory file systems together, looked at while it goes on.

The kernel bounds one process, or the sandbox, which ends with all that is in it. So the runner looks, the
more often the less is left, and has the run end first. gVisor does not even bound one process: its
RLIMIT_DATA is of the heap that brk(2) moves, and no mapping counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

LOOK_SECONDS = 0.25
_FIRST_SECONDS = 0.05
"""Until the first look: most runs have ended by then, and gVisor takes a while to count."""
_SHORTEST = 0.002
_REST = 10
"""So many times as long as a look takes nothing is looked at."""
_FILLED = 2 << 30
"""Bytes a second that a run is thought to take at most: a look comes before what is left can be gone."""
_FILES = 2
"""The part of the memory that files may keep once a run was out of it."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SHARES = (b"Pss_Anon:", b"Pss_Shmem:")

Processes = Callable[[], Iterable[int]]


class Memory:
    def __init__(self, limit: int, directories: Sequence[str], *, workspace: str, own_kernel: bool) -> None:
        """`limit` is in bytes, 0 for none; `directories` are those that lie in memory. A kernel of the
        sandbox's own tells what all of it takes, kept interpreters too; else a run's processes count."""
        self._limit = limit
        self._own_kernel = own_kernel
        self._passing = [path for path in directories if path != workspace]
        self._beside = [path for path in directories if not (own_kernel and _type_of(path) == "tmpfs")]

    def notice(self, taken: int) -> str:
        return f"killed: out of memory: a run may have {self._limit} bytes, and this one has {taken}"

    @contextlib.asynccontextmanager
    async def watched(self, processes: Processes, on_full: Callable[[int], None]) -> AsyncIterator[None]:
        """Hold during a run of `processes`; `on_full` is told the bytes taken, if they are too many."""
        if not self._limit:
            yield
            return
        watch = asyncio.create_task(self._watch(processes, on_full))
        try:
            yield
        finally:
            watch.cancel()

    async def relieve(self) -> bool:
        """Delete the files in memory if they, which outlive a run, are so many that none could go on; whether
        they were."""
        if sum(map(_filled, self._passing)) <= self._limit // _FILES:
            return False
        for directory in self._passing:
            await asyncio.to_thread(_empty, directory)
        return True

    async def _watch(self, processes: Processes, on_full: Callable[[int], None]) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(_FIRST_SECONDS)
        while True:
            began = loop.time()
            taken = self._taken(processes)
            if taken > self._limit:
                on_full(taken)
                return
            await asyncio.sleep(pause(self._limit - taken, loop.time() - began))

    def _taken(self, processes: Processes) -> int:
        beside = sum(map(_filled, self._beside))
        if self._own_kernel:
            return beside + kernel_memory()
        return beside + of_processes(processes(), self._limit - beside)


def pause(left: int, took: float) -> float:
    """Seconds until the next look, when one that took so many seconds found so many bytes left."""
    return max(min(left / _FILLED, LOOK_SECONDS), _SHORTEST, _REST * took)


class _Sysinfo(ctypes.Structure):
    _fields_ = (
        ("uptime", ctypes.c_long),
        ("loads", ctypes.c_ulong * 3),
        ("totalram", ctypes.c_ulong),
        ("freeram", ctypes.c_ulong),
        ("others", ctypes.c_ulong * 4),
        ("procs", ctypes.c_ushort),
        ("high", ctypes.c_ulong * 2),
        ("mem_unit", ctypes.c_uint),
        ("spare", ctypes.c_char * 64),
    )


_libc = ctypes.CDLL(None)


def kernel_memory() -> int:
    """Bytes that this kernel has given away. gVisor looks them up at each sysinfo(2), and for /proc/meminfo
    only so often: 100 MiB can lie between."""
    found = _Sysinfo()
    _libc.sysinfo(ctypes.byref(found))
    return int(found.totalram - found.freeram) * int(found.mem_unit)


def of_processes(pids: Iterable[int], enough: int) -> int:
    """Bytes of memory that processes have; up to `enough` it may be said to be more than it is.

    What is shared since a fork is counted once, by their proportional shares, which takes the kernel a while:
    so only where the plain sum would be too much.
    """
    resident = {pid: _resident(pid) for pid in pids}
    total = sum(resident.values())
    if total <= enough:
        return total
    return sum(_share(pid, otherwise) for pid, otherwise in resident.items())


def _resident(pid: int) -> int:
    """Bytes of a process in memory, whoever shares them; 0 of one that is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    except OSError:
        return 0


def _share(pid: int, otherwise: int) -> int:
    """Bytes of a process, of what it shares its share, without what a file on disk has too."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines()
    except (ProcessLookupError, FileNotFoundError):
        return 0
    except OSError:  # it lets nobody look
        return otherwise
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(_SHARES))


def _filled(directory: str) -> int:
    """Bytes taken of the file system of a directory."""
    found = os.statvfs(directory)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def _empty(directory: str) -> None:
    """Delete what is in a directory, as far as it can be."""
    for path in Path(directory).iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()


def _type_of(directory: str) -> str:
    """The type of the file system that is mounted at a directory; empty where none is."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if place == directory:
            return kind
    return ""
