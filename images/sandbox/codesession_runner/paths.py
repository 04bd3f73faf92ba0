"""Paths of the workspace as the wire names them, and the only way in which they are opened.

Names come from outside and directories belong to hostile code, which may swap one for a symlink any time:
so every component is opened by itself, relative to the one before, and a symlink is never followed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from codesession_runner.errors import OperationError

MAX_DEPTH = 32
MAX_PATH = 1024
MAX_NAME = 255
TEMPORARY = ".codesession-put-"
"""How the names of unfinished uploads begin; no path may."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def parse(path: object) -> list[str]:
    """The components of a relative path; `bad_request` unless each of them is a plain name."""
    if not isinstance(path, str):
        raise OperationError("bad_request", "a path must be a string")
    try:
        size = len(os.fsencode(path))
    except UnicodeEncodeError as error:
        raise OperationError("bad_request", "a path that no file can have") from error
    parts = path.split("/")
    if size > MAX_PATH or len(parts) > MAX_DEPTH or "\0" in path:
        raise OperationError("bad_request", "a path that is too long, too deep, or holds NUL")
    if not all(_is_plain(part) for part in parts):
        raise OperationError("bad_request", "a path must be relative, without empty, '.' or '..' components")
    return parts


def is_path(path: str) -> bool:
    """Whether `parse` takes it."""
    try:
        parse(path)
    except OperationError:
        return False
    return True


def _is_plain(name: str) -> bool:
    return (
        name not in ("", ".", "..") and not name.startswith(TEMPORARY) and len(os.fsencode(name)) <= MAX_NAME
    )


def open_directory(name: str, parent: int) -> int:
    """A descriptor of a directory right below `parent`."""
    return os.open(name, _DIRECTORY, dir_fd=parent)


@contextlib.contextmanager
def open_parent(root: int, parts: list[str], *, create: bool = False) -> Iterator[int]:
    """A descriptor of the directory that holds, or with `create` shall hold, the last of `parts`."""
    current = os.dup(root)
    try:
        for name in parts[:-1]:
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=current)
            below = open_directory(name, current)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)
