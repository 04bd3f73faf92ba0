"""Where built images are kept: one archive per image and key, the newest few of each image."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def directory() -> Path:
    root = os.environ.get("CODESESSION_CACHE") or Path.home() / ".cache" / "codesession"
    path = Path(root) / "images"
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One builder at a time, of all processes that share the cache. What a killed one left is removed."""
    with (directory() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for partial in directory().glob(".partial-*"):
            shutil.rmtree(partial, ignore_errors=True)
        yield


def archive(name: str, key: str) -> Path:
    return directory() / f"{name}-{key}.tar"


def write(path: Path, write_to: Callable[[Path], object]) -> None:
    """Let `write_to` make the file under another name, then put it in place whole."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as partial:
        made = Path(partial) / path.name
        write_to(made)
        made.replace(path)


def prune(name: str, kept: int) -> None:
    """Forget all but the archives of an image that were used last."""
    archives = directory().glob(f"{name}-{'[0-9a-f]' * 16}.tar")
    by_use = sorted(archives, key=lambda path: path.stat().st_mtime)
    for path in by_use[:-kept]:
        path.unlink(missing_ok=True)
