"""Objects in a directory, for the embedded default.

An object is one file, so that a rename makes it appear whole: a line of JSON (`_Header`), then the bytes. Key
components become directories by quoting, never as they are, so that no key reaches outside the directory and
the object `a/b` can be there beside `a/b/c`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from codesession_api.errors import ObjectMissing, ObjectsUnavailable
from codesession_api.ports import ObjectInfo

CHUNK_BYTES = 256 * 1024

_TEMPORARY = ".partial"
_LEAF = "="
_MAX_ENCODED = 240
_KEPT = 150


@dataclass(frozen=True, slots=True)
class _Header:
    key: str
    content_type: str
    metadata: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        return json.dumps([self.key, self.content_type, self.metadata]).encode() + b"\n"

    @classmethod
    def read(cls, file: BinaryIO) -> _Header:
        return cls(*json.loads(file.readline()))


class LocalObjects:
    """`root` is made if missing, for its owner alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._partial = root / _TEMPORARY
        try:
            self._partial.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in self._partial.iterdir():
                left.unlink()
        except OSError as error:
            raise ObjectsUnavailable(f"{root} cannot be used: {error.strerror}") from error

    async def put(
        self,
        key: str,
        chunks: AsyncIterator[bytes],
        *,
        size: int | None = None,
        content_type: str = "application/octet-stream",
        metadata: dict[str, str] | None = None,
    ) -> ObjectInfo:
        header = _Header(key, content_type, metadata or {})
        partial = self._partial / secrets.token_hex(8)
        try:
            with _created(partial) as file:
                await asyncio.to_thread(file.write, header.encode())
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(_publish, partial, self._path(key))
            return await self.head(key)
        except OSError as error:
            raise ObjectsUnavailable(f"a file cannot be stored: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)

    async def head(self, key: str) -> ObjectInfo:
        return await asyncio.to_thread(self._head, key)

    def _head(self, key: str) -> ObjectInfo:
        with _opened(self._path(key)) as file:
            return _info(file)

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        with _opened(self._path(key)) as file:
            await asyncio.to_thread(_skip, file, offset)
            left = length
            while left is None or left > 0:
                want = CHUNK_BYTES if left is None else min(CHUNK_BYTES, left)
                chunk = await asyncio.to_thread(_read, file, want)
                if not chunk:
                    return
                if left is not None:
                    left -= len(chunk)
                yield chunk

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        for info in await asyncio.to_thread(_listing, self._root, prefix):
            yield info

    async def touch(self, key: str) -> None:
        await asyncio.to_thread(_touch, self._path(key))

    async def delete(self, key: str) -> bool:
        return await asyncio.to_thread(self._delete, key)

    def _delete(self, key: str) -> bool:
        path = self._path(key)
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise ObjectsUnavailable(f"a file cannot be deleted: {error.strerror}") from error
        self._prune(path.parent)
        return True

    def _prune(self, directory: Path) -> None:
        """Remove what is empty now, up to the root."""
        while directory != self._root:
            try:
                directory.rmdir()
            except OSError:
                return
            directory = directory.parent

    async def check(self) -> None:
        if not await asyncio.to_thread(os.access, self._partial, os.W_OK):
            raise ObjectsUnavailable(f"{self._root} cannot be written to")

    def _path(self, key: str) -> Path:
        *directories, leaf = key.split("/")
        return self._root.joinpath(*(_encode(part) for part in directories), _LEAF + _encode(leaf))


def _encode(part: str) -> str:
    """A file name that begins neither with a dot nor with the mark of an object, and is not too long. No two
    parts share one: quoting leaves no `+`."""
    quoted = quote(part, safe="")
    if quoted.startswith(".") or not quoted:
        quoted = "%2E" + quoted[1:]
    if len(quoted) <= _MAX_ENCODED:
        return quoted
    return quoted[:_KEPT] + "+" + hashlib.sha256(part.encode()).hexdigest()


def _publish(partial: Path, path: Path) -> None:
    """Rename into place; a delete that prunes the directory in between is raced once more."""
    for attempt in range(8):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            partial.replace(path)
        except FileNotFoundError:
            if attempt == 7:
                raise
        else:
            return


def _created(path: Path) -> BinaryIO:
    return path.open("xb")


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise ObjectMissing from None
    except OSError as error:
        raise ObjectsUnavailable(f"a file cannot be read: {error.strerror}") from error


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ObjectMissing from None
    except OSError as error:
        raise ObjectsUnavailable(f"a file cannot be touched: {error.strerror}") from error


def _info(file: BinaryIO) -> ObjectInfo:
    header = _Header.read(file)
    status = os.fstat(file.fileno())
    return ObjectInfo(
        key=header.key,
        size=status.st_size - file.tell(),
        etag=f"{status.st_mtime_ns:x}-{status.st_size:x}",
        modified=datetime.fromtimestamp(status.st_mtime, UTC),
        content_type=header.content_type,
        metadata=header.metadata,
    )


def _read(file: BinaryIO, size: int) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise ObjectsUnavailable(f"a file cannot be read: {error.strerror}") from error


def _skip(file: BinaryIO, offset: int) -> None:
    _Header.read(file)
    file.seek(offset, os.SEEK_CUR)


def _listing(root: Path, prefix: str) -> list[ObjectInfo]:
    directory, _, start = prefix.rpartition("/")
    top = root.joinpath(*(_encode(part) for part in directory.split("/") if part))
    found = [info for info in _walk(top, start and _encode(start)) if info.key.startswith(prefix)]
    return sorted(found, key=lambda info: info.key.encode())


def _walk(directory: Path, start: str) -> Iterator[ObjectInfo]:
    """The objects below, of those entries whose encoded name could begin with `start`."""
    try:
        entries = list(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.name == _TEMPORARY or not entry.name.removeprefix(_LEAF).startswith(start[:_KEPT]):
            continue
        if not entry.name.startswith(_LEAF):
            yield from _walk(entry, "")
            continue
        try:
            with _opened(entry) as file:
                yield _info(file)
        except ObjectMissing:
            continue
