"""What is in the workspace: regular files and their signatures, and how two such looks differ."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from codesession_runner.paths import MAX_DEPTH, is_path, open_directory

MAX_ENTRIES = 50_000
_IGNORED_DIRECTORIES = frozenset({"__pycache__"})


class Signature(NamedTuple):
    """What of a file's status changes whenever its bytes do."""

    size: int
    mtime: int
    """Nanoseconds, like `ctime`."""
    ctime: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Signature:
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@dataclass(slots=True)
class Snapshot:
    files: dict[str, Signature] = field(default_factory=dict)
    complete: bool = True
    """Whether the walk came to its end within its limit."""


def scan(root: int, limit: int = MAX_ENTRIES) -> Snapshot:
    """Every regular file below the directory `root` that a path can name, and nothing of another kind."""
    snapshot = Snapshot()
    for count, (path, status) in enumerate(_walk(root, "", MAX_DEPTH)):
        if count >= limit:
            snapshot.complete = False
            break
        if status is not None:
            snapshot.files[path] = Signature.of(status)
    return snapshot


def differences(before: Snapshot, after: Snapshot) -> tuple[list[str], list[str]]:
    """Paths that are new or other than before, and paths that are gone, both in order."""
    changed = sorted(path for path, signature in after.files.items() if before.files.get(path) != signature)
    gone = sorted(before.files.keys() - after.files.keys()) if after.complete else []
    return changed, gone


def _walk(directory: int, prefix: str, depth: int) -> Iterator[tuple[str, os.stat_result | None]]:
    """Each entry with its path; the status of regular files only."""
    with os.scandir(directory) as entries:
        for entry in entries:
            path = prefix + entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield path, None
                    if depth > 1 and entry.name not in _IGNORED_DIRECTORIES:
                        yield from _walk_below(entry.name, directory, path + "/", depth - 1)
                elif entry.is_file(follow_symlinks=False) and is_path(path):
                    yield path, entry.stat(follow_symlinks=False)
                else:
                    yield path, None
            except OSError:  # gone, swapped, or made unreadable meanwhile
                continue


def _walk_below(
    name: str, parent: int, prefix: str, depth: int
) -> Iterator[tuple[str, os.stat_result | None]]:
    directory = open_directory(name, parent)
    try:
        yield from _walk(directory, prefix, depth)
    finally:
        os.close(directory)


def is_regular(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode)
