"""A store that is slow, behind a wire that the test throttles: transfers go on at its pace and hold no more
than a few parts, or end with an error that says so."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import urllib3

from codesession_api.errors import ObjectsUnavailable
from codesession_api.objects import s3
from codesession_api.objects.s3 import PART_BYTES, S3Objects
from codesession_api.settings import load

_CHUNK = 64 * 1024
_BUFFERS = 8 * 1024 * 1024
"""What the system may hold of a connection or two on loopback."""


class Wire:
    """TCP to MinIO that lets `rate` bytes a second through, each way and of each connection."""

    def __init__(self, upstream: str) -> None:
        self._host, _, port = upstream.partition(":")
        self._port = int(port)
        self.rate = 0.0
        """0: as fast as it goes."""
        self.passed = 0
        """Bytes to MinIO."""
        self.going = asyncio.Event()
        self.going.set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Where it listens."""
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CHUNK)
        async with await asyncio.start_server(self._serve, sock=listening, limit=_CHUNK) as server:
            host, port = server.sockets[0].getsockname()
            yield f"{host}:{port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, there = await asyncio.open_connection(self._host, self._port, limit=_CHUNK)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._copy(reader, there, up=True))
                both.create_task(self._copy(upstream, writer))
        except* OSError:
            pass
        finally:
            for end in (writer, there):
                end.transport.abort()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, up: bool = False) -> None:
        while data := await source.read(_CHUNK):
            await self.going.wait()
            if self.rate:
                await asyncio.sleep(len(data) / self.rate)
            sink.write(data)
            await sink.drain()
            self.passed += len(data) if up else 0
        raise ConnectionResetError


@contextlib.asynccontextmanager
async def throttled(minio: Any) -> AsyncIterator[tuple[Wire, S3Objects]]:
    wire = Wire(minio.endpoint)
    async with wire.open() as endpoint:
        settings = {**minio.settings(f"t-{secrets.token_hex(8)}"), "s3_endpoint": endpoint}
        yield wire, await S3Objects.open(load(backend="local", **settings))


async def test_an_upload_reads_no_further_than_the_store_takes(minio: Any) -> None:
    parts, ahead = 8, 0
    data = secrets.token_bytes(PART_BYTES)
    async with throttled(minio) as (wire, objects):
        wire.rate, wire.passed, read = 8_000_000, 0, 0

        async def source() -> AsyncIterator[bytes]:
            nonlocal ahead, read
            for _ in range(parts):
                for begin in range(0, PART_BYTES, s3.CHUNK_BYTES):
                    chunk = data[begin : begin + s3.CHUNK_BYTES]
                    read += len(chunk)
                    ahead = max(ahead, read - wire.passed)
                    yield chunk

        stored = await objects.put("t/a", source())
        assert stored.size == parts * PART_BYTES
        # Parts under way and the one that is collected; how much is in memory does not grow with the file.
        assert ahead <= (s3._PARTS_UNDER_WAY + 1) * PART_BYTES + _BUFFERS < stored.size
        wire.rate = 0
        found = [chunk async for chunk in objects.get("t/a", offset=PART_BYTES, length=PART_BYTES)]
        assert b"".join(found) == data


async def test_a_download_goes_on_at_the_pace_of_the_store(minio: Any) -> None:
    data = secrets.token_bytes(PART_BYTES)

    async def source() -> AsyncIterator[bytes]:
        yield data

    async with throttled(minio) as (wire, objects):
        await objects.put("t/a", source())
        wire.rate = 4_000_000
        found = [chunk async for chunk in objects.get("t/a")]
    assert max(map(len, found)) <= s3.CHUNK_BYTES
    assert b"".join(found) == data


@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_store_that_falls_silent_is_an_error(
    minio: Any, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """After its time without a byte, which is 60 s outside of tests, and some more tries."""
    monkeypatch.setattr(s3, "_TIMEOUT", urllib3.Timeout(connect=1, read=0.3))

    async with throttled(minio) as (wire, objects):

        async def source() -> AsyncIterator[bytes]:
            yield bytes(PART_BYTES)
            if way == "up":
                wire.going.clear()
            yield bytes(PART_BYTES)

        async def down() -> None:
            async for _ in objects.get("t/a"):
                wire.going.clear()

        if way == "up":
            with pytest.raises(ObjectsUnavailable):
                await objects.put("t/a", source())
        else:
            await objects.put("t/a", source())
            wire.rate = 4_000_000
            with pytest.raises(ObjectsUnavailable):
                await down()
        wire.going.set()
        wire.rate = 0
        await objects.check()
