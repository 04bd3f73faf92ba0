"""The session's files: written whole or not at all, read without following symlinks, and watched for changes.

All that writes here is this class and the runs, one at a time; so what is known after a run, with the uploads
since, is what the next one starts from, and one look per run is enough.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

from codesession_runner.errors import OperationError, os_errors
from codesession_runner.paths import TEMPORARY, open_parent, parse
from codesession_runner.scan import Signature, Snapshot, differences, is_regular, scan

MAX_TAGS = 10_000
_READ = 128 * 1024
_FEW = 100
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Workspace:
    def __init__(self, root: str, *, file_bytes: int, files: int) -> None:
        Path(root).mkdir(parents=True, exist_ok=True)
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._file_bytes = file_bytes
        self._files = files
        self._known = scan(self._root)
        self._put: dict[str, Signature] = {}
        """Uploads since the last look began."""
        self._tags: dict[str, tuple[str, Signature]] = {}

    async def put(
        self,
        path: object,
        chunks: AsyncIterator[bytes],
        *,
        tag: str,
        size: int | None = None,
        read_only: bool = False,
    ) -> int:
        """Replace a file and return its size; the tag is remembered while the bytes are those."""
        parts = parse(path)
        if size is not None and size > self._file_bytes:
            raise self._too_large()
        with (
            os_errors(),
            open_parent(self._root, parts, create=True) as parent,
            _temporary(parent) as (name, descriptor),
        ):
            total = await self._receive(chunks, descriptor)
            if size is not None and total != size:
                raise OperationError("bad_request", f"{total} bytes instead of {size}")
            os.fchmod(descriptor, 0o444 if read_only else 0o644)
            os.rename(name, parts[-1], src_dir_fd=parent, dst_dir_fd=parent)
            signature = Signature.of(os.fstat(descriptor))
        key = "/".join(parts)
        self._known.files[key] = self._put[key] = signature
        self._remember(key, tag, signature)
        return total

    async def get(self, path: object, *, tag: str) -> AsyncGenerator[bytes, None]:
        """The bytes of a file; `busy` at their end when the file changed meanwhile."""
        parts = parse(path)
        with os_errors(), self._open(parts) as descriptor:
            signature = Signature.of(os.fstat(descriptor))
            left = signature.size
            while left and (data := os.read(descriptor, min(left, _READ))):
                left -= len(data)
                yield data
            if left or Signature.of(os.fstat(descriptor)) != signature:
                raise OperationError("busy", "the file changed while it was read")
        self._remember("/".join(parts), tag, signature)

    def has(self, path: object, tag: object) -> bool:
        """Whether the file holds the bytes that came or went under that tag."""
        parts = parse(path)
        known = self._tags.get("/".join(parts))
        if known is None or known[0] != tag:
            return False
        try:
            with os_errors(), self._open(parts) as descriptor:
                return Signature.of(os.fstat(descriptor)) == known[1]
        except OperationError:
            return False

    async def entries(self) -> list[dict[str, Any]]:
        """Path, size and modification time in seconds of every file."""
        snapshot = await self._scan()
        return [
            {"path": path, "size": found.size, "mtime": found.mtime / 1e9}
            for path, found in sorted(snapshot.files.items())
        ]

    async def changes(self) -> tuple[list[Mapping[str, Any]], int]:
        """A record of each file that a run has changed since the last call, and how many have none."""
        self._put.clear()
        after = await self._scan()
        after.files.update(self._put)
        before, self._known = self._known, after
        changed, gone = differences(before, after)
        records: list[Mapping[str, Any]] = [
            *({"path": path, "size": after.files[path].size, "change": "changed"} for path in changed),
            *({"path": path, "size": 0, "change": "deleted"} for path in gone),
        ]
        return records[: self._files], max(len(records) - self._files, 0 if after.complete else 1)

    async def _scan(self) -> Snapshot:
        """Look at all files; a few at once, which is soon done, many in a thread."""
        snapshot = scan(self._root, _FEW)
        return snapshot if snapshot.complete else await asyncio.to_thread(scan, self._root)

    async def _receive(self, chunks: AsyncIterator[bytes], descriptor: int) -> int:
        total = 0
        async for chunk in chunks:
            total += len(chunk)
            if total > self._file_bytes:
                raise self._too_large()
            view = memoryview(chunk)
            while view:
                view = view[os.write(descriptor, view) :]
        return total

    def _too_large(self) -> OperationError:
        return OperationError("too_large", f"a file may have {self._file_bytes} bytes")

    @contextlib.contextmanager
    def _open(self, parts: list[str]) -> Iterator[int]:
        with open_parent(self._root, parts) as parent:
            descriptor = os.open(parts[-1], _READ_FLAGS, dir_fd=parent)
        try:
            if not is_regular(os.fstat(descriptor)):
                raise OperationError("bad_request", "not a regular file")
            yield descriptor
        finally:
            os.close(descriptor)

    def _remember(self, key: str, tag: str, signature: Signature) -> None:
        self._tags.pop(key, None)
        self._tags[key] = (tag, signature)
        if len(self._tags) > MAX_TAGS:
            del self._tags[next(iter(self._tags))]


@contextlib.contextmanager
def _temporary(parent: int) -> Iterator[tuple[str, int]]:
    """A new file in `parent`, gone at the end unless it was renamed."""
    name = TEMPORARY + secrets.token_hex(8)
    descriptor = os.open(name, _WRITE_FLAGS, 0o600, dir_fd=parent)
    try:
        yield name, descriptor
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=parent)
