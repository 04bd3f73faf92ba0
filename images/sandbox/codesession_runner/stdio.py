"""A connection over the process's own standard streams, for a sandbox that is a child of whoever uses it."""

from __future__ import annotations

import asyncio
import os

from codesession_runner.connection import Connection


def take_over() -> tuple[int, int]:
    """Standard input and output under new numbers; the old ones are /dev/null from now on, here and below."""
    streams = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return streams


async def serve(connection: Connection, incoming: int, outgoing: int) -> None:
    """Put a connection on two pipes; it hears of their end as of any other."""
    loop = asyncio.get_running_loop()
    writing = _Writing(connection)
    writer, _ = await loop.connect_write_pipe(lambda: writing, os.fdopen(outgoing, "wb", 0))
    writing.reader, _ = await loop.connect_read_pipe(
        lambda: _Reading(connection, writer), os.fdopen(incoming, "rb", 0)
    )


class _Joined(asyncio.Transport):
    """Two pipes as one transport."""

    def __init__(self, reader: asyncio.ReadTransport, writer: asyncio.WriteTransport) -> None:
        super().__init__()
        self._reader = reader
        self._writer = writer

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._writer.write(data)

    def get_write_buffer_size(self) -> int:
        return self._writer.get_write_buffer_size()

    def is_closing(self) -> bool:
        return self._writer.is_closing() or self._reader.is_closing()

    def close(self) -> None:
        self._writer.close()
        self._reader.close()

    def abort(self) -> None:
        self._writer.abort()
        self._reader.close()


class _Writing(asyncio.BaseProtocol):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.reader: asyncio.ReadTransport | None = None

    def connection_lost(self, error: Exception | None) -> None:
        if self.reader is not None:
            self.reader.close()

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()


class _Reading(asyncio.Protocol):
    def __init__(self, connection: Connection, writer: asyncio.WriteTransport) -> None:
        self._connection = connection
        self._writer = writer

    def connection_made(self, reader: asyncio.BaseTransport) -> None:
        assert isinstance(reader, asyncio.ReadTransport)
        self._connection.connection_made(_Joined(reader, self._writer))

    def data_received(self, data: bytes) -> None:
        self._connection.data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._writer.is_closing():
            self._writer.abort()
        self._connection.connection_lost(error)
