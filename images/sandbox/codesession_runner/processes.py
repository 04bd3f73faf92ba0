"""The processes of the sandbox: who belongs to a run, and how this one is kept out of reach of the others.

A run's processes are found by parentage alone: the runner is init or a child subreaper, so whatever a program
does (setsid, double fork) it stays a descendant. The kernel tells the children of each thread, and so does
gVisor: to look at all of /proc takes ten times as long, and every run ends with a look.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_OOM_EVENTS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))
_PIECE = 64 * 1024
_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def set_dumpable(allowed: bool) -> None:
    """Whether processes of the same user may trace this one or reach its descriptors through /proc."""
    _prctl(_PR_SET_DUMPABLE, int(allowed))


def become_subreaper() -> None:
    """Have orphaned descendants become children of this process, as they do for PID 1."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def require_children() -> None:
    """Raise OSError where the kernel does not tell them: what a run leaves behind could not be found."""
    _read(f"/proc/self/task/{threading.get_native_id()}/children")


def die_with_parent() -> None:
    """Have this process killed when its parent ends, be it stopped or not."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def send_signal(pid: int, number: signal.Signals) -> None:
    """Signal a process that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def signal_group(pgid: int, number: signal.Signals) -> None:
    """Signal a process group that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, number)


def run_processes(servers: set[int], run: int) -> set[int]:
    """Processes below this one, without the fork `servers` and those of their children but `run`.

    Zombies count until they are reaped: one whose threads live on looks the same.
    """
    found: set[int] = set()
    pending = [os.getpid()]
    while pending:
        parent = pending.pop()
        below = children(parent) - found
        if parent in servers:
            below &= {run}
        found |= below - servers
        pending += below
    return found


def children(pid: int) -> set[int]:
    """The processes that a process has started or inherited and not yet reaped; none when it is gone."""
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with contextlib.suppress(OSError):
                found.update(map(int, _read(f"/proc/{pid}/task/{thread}/children").split()))
    return found


def is_descendant(pid: int) -> bool:
    """Whether a process was started by this one, at any depth; so is one that cannot be found."""
    while pid not in (0, 1, os.getpid()):
        parent = _parent(pid)
        if parent is None:
            return True
        pid = parent
    return pid == os.getpid()


def oom_kills() -> int:
    """How often the kernel has killed in this cgroup for memory; 0 where nothing tells."""
    for path in _OOM_EVENTS:
        with contextlib.suppress(OSError, ValueError):
            for line in path.read_text().splitlines():
                name, value = line.split()
                if name == "oom_kill":
                    return int(value)
    return 0


def _parent(pid: int) -> int | None:
    """The parent of a process, or None when it is gone."""
    status = _status(pid)
    return int(status[1]) if status else None


def is_zombie(pid: int) -> bool:
    """Whether a process has ended and is not yet waited for, or is gone."""
    status = _status(pid)
    return status is None or status[0] == b"Z"


def _status(pid: int) -> list[bytes] | None:
    """What follows the command in /proc/<pid>/stat: state, parent and more; None when it is gone."""
    try:
        # The command in parentheses may hold spaces and parentheses of its own.
        return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except OSError:
        return None


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = piece = os.read(descriptor, _PIECE)
        while piece:
            piece = os.read(descriptor, _PIECE)
            data += piece
        return data
    finally:
        os.close(descriptor)
