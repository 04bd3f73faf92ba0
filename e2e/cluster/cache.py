"""Where built things are kept between runs and checkouts: `$CODESESSION_CACHE`, or `~/.cache/codesession`."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def directory() -> Path:
    """The cache's folder, made if it is missing."""
    path = Path(os.environ.get("CODESESSION_CACHE") or Path.home() / ".cache" / "codesession")
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock across processes; it ends with the process, whatever becomes of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def binary(name: str) -> Path:
    """A cluster component's executable, built first if it must be."""
    from e2e.cluster import build, components

    return build.component(components.providing(name)) / name
