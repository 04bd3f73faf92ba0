"""The directory of one server's sandboxes; what a crash leaves behind is removed by the next start."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_LOCK = "lock"


class WorkDirectory:
    """A fresh directory below `parent`, locked as long as this server lives."""

    def __init__(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = Path(tempfile.mkdtemp(prefix="server-", dir=parent))
        self._lock = _lock(self.path)
        for other in parent.glob("server-*"):
            _remove_if_abandoned(other)

    def close(self) -> None:
        remove(self.path)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def remove(directory: Path) -> None:
    """Remove it whatever modes the code inside gave to its own directories."""
    for path, names, _ in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                Path(path, name).chmod(0o700, follow_symlinks=False)
    shutil.rmtree(directory, ignore_errors=True)


def _lock(directory: Path) -> int | None:
    """None when another process has it."""
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_if_abandoned(directory: Path) -> None:
    try:
        lock = _lock(directory)
    except OSError:  # gone in the meantime
        return
    if lock is not None:
        remove(directory)
        os.close(lock)
