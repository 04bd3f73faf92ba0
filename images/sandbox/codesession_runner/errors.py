"""How a request is refused: the closed list of codes that END may carry."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import Any, Literal

Code = Literal[
    "bad_request",
    "not_found",
    "too_large",
    "no_space",
    "unsupported_language",
    "busy",
    "unknown_run",
    "conflict",
    "cancelled",
    "internal",
]


class OperationError(Exception):
    """A request that ends with an error; the message is for people and holds nothing of the user's bytes."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code: Code = code
        self.text = text

    def body(self) -> dict[str, Any]:
        """The payload of END."""
        return {"error": {"code": self.code, "message": self.text}}


_BY_NUMBER: dict[int, tuple[Code, str]] = {
    errno.ENOENT: ("not_found", "no such file"),
    errno.ENOSPC: ("no_space", "the workspace is full"),
    errno.EDQUOT: ("no_space", "the workspace is full"),
    errno.EFBIG: ("too_large", "the file is too large"),
}
_PATH_AT_FAULT = {
    errno.ENOTDIR: "a component of the path is no directory",
    errno.ELOOP: "a component of the path is a symlink",
    errno.EISDIR: "the path is a directory",
    errno.EEXIST: "the path is a directory",
    errno.ENAMETOOLONG: "the path is too long",
    errno.EACCES: "the file may not be opened",
    errno.EPERM: "the file may not be opened",
    errno.ENXIO: "not a regular file",
}


@contextlib.contextmanager
def os_errors() -> Iterator[None]:
    """Turn what the system says of a file into an OperationError."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        if number in _PATH_AT_FAULT:
            raise OperationError("bad_request", _PATH_AT_FAULT[number]) from error
        code, text = _BY_NUMBER.get(number, ("internal", "the file system failed"))
        raise OperationError(code, text) from error
