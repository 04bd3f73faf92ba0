"""Locks between processes. Each ends with the process that holds it, whatever becomes of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

_MACHINE = Path("/run/lock/codesession-e2e")


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the exclusive lock on a folder or a file; one that is missing is made as a file."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def machine() -> contextlib.AbstractContextManager[None]:
    """For the moments in which two checkouts could take the same thing of the machine."""
    return held(_MACHINE)
