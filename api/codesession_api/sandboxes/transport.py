"""The seam under the runner's protocol: two directions of bytes, wherever the runner is."""

from __future__ import annotations

import asyncio
from typing import Protocol

CHUNK = 128 * 1024


class TransportError(Exception):
    """The bytes stopped for a reason that is known; the message says it."""


class Transport(Protocol):
    async def read(self) -> bytes:
        """Some bytes; b"" once the peer has closed. Raises TransportError."""
        ...

    async def write(self, data: bytes) -> None:
        """Send all of `data`, waiting while the peer is slow. Raises TransportError."""
        ...

    async def aclose(self) -> None:
        """Let go of it; may be called again."""
        ...


class StreamTransport:
    """An asyncio stream pair: the pipes of a child or a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        try:
            return await self._reader.read(CHUNK)
        except OSError as error:
            raise TransportError(f"reading failed: {error.strerror}") from error

    async def write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise TransportError(f"writing failed: {error.strerror}") from error

    async def aclose(self) -> None:
        # Not close(), which waits for a peer that may never read again.
        self._writer.transport.abort()


async def open_unix(path: str) -> StreamTransport:
    """A runner's unix socket. Raises TransportError."""
    try:
        return StreamTransport(*await asyncio.open_unix_connection(path))
    except OSError as error:
        raise TransportError(f"connecting failed: {error.strerror}") from error
