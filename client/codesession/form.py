"""A file as the form of an upload, read from the disk piece by piece while it is sent."""

from __future__ import annotations

import io
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias

PIECE = 256 * 1024

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called with the bytes that are through, and with those of the whole where that is known."""
Source: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO
"""A path, the bytes themselves, or a file that is open for reading and can seek."""


@dataclass(frozen=True, slots=True)
class Form:
    """`open` gives a file at its first byte, anew for each attempt. Raises OSError."""

    name: str
    size: int
    open: Callable[[], AbstractContextManager[BinaryIO]]
    read_only: bool = False
    progress: Progress | None = None
    boundary: str = field(default_factory=lambda: secrets.token_hex(16))

    @classmethod
    def of(cls, source: Source, name: str | None, *, read_only: bool, progress: Progress | None) -> Form:
        """The name is the last part of a path, unless it is given. Raises OSError; ValueError without one."""
        if isinstance(source, str | os.PathLike):
            path = Path(source)
            return cls(name or path.name, _size(path), partial(io.FileIO, path), read_only, progress)
        if not name:
            raise ValueError("what is no path needs a name")
        if isinstance(source, bytes):
            return cls(name, len(source), partial(io.BytesIO, source), read_only, progress)
        first = source.tell()
        size = source.seek(0, io.SEEK_END) - first
        return cls(name, size, partial(_again, source, first), read_only, progress)

    @property
    def headers(self) -> dict[str, str]:
        length = len(self._head) + self.size + len(self._tail)
        kind = f"multipart/form-data; boundary={self.boundary}"
        return {"content-type": kind, "content-length": str(length)}

    def pieces(self) -> Iterator[bytes]:
        """The body. Raises OSError, also where the file has become shorter."""
        yield self._head
        sent = 0
        with self.open() as file:
            while sent < self.size:
                piece = file.read(min(PIECE, self.size - sent))
                if not piece:
                    raise OSError(f"{self.name} has become shorter while it was sent")
                yield piece
                sent += len(piece)
                if self.progress:
                    self.progress(sent, self.size)
        yield self._tail

    @property
    def _head(self) -> bytes:
        """Fields stand before the file that they are about."""
        disposition = f'form-data; name="file"; filename="{_quoted(self.name)}"'
        kind = "Content-Type: application/octet-stream"
        return self._field("read_only", "true") * self.read_only + self._part(disposition, kind)

    @property
    def _tail(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode()

    def _field(self, name: str, value: str) -> bytes:
        return self._part(f'form-data; name="{name}"') + f"{value}\r\n".encode()

    def _part(self, disposition: str, *headers: str) -> bytes:
        lines = [f"--{self.boundary}", f"Content-Disposition: {disposition}", *headers, "", ""]
        return "\r\n".join(lines).encode("utf-8", "replace")


def _size(path: Path) -> int:
    """Of a regular file, as only such have one."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise OSError(f"{path} is no regular file")
    return about.st_size


def _again(stream: BinaryIO, first: int) -> AbstractContextManager[BinaryIO]:
    """From where it stood, and left open."""
    stream.seek(first)
    return nullcontext(stream)


def _quoted(name: str) -> str:
    """As browsers write it (WHATWG HTML, multipart/form-data)."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
