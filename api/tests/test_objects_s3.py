"""What only an S3 server can do to its client: be away, be slow, break off."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from codesession_api.errors import ObjectMissing, ObjectsUnavailable
from codesession_api.objects.s3 import PART_BYTES, S3Objects, _client
from codesession_api.settings import load

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def opened(minio: Any, bucket: str | None = None) -> S3Objects:
    return await S3Objects.open(
        load(backend="local", **minio.settings(bucket or f"t-{secrets.token_hex(8)}"))
    )


async def test_the_bucket_is_made_once_by_whoever_comes_first(minio: Any) -> None:
    bucket = f"t-{secrets.token_hex(8)}"
    first, second, third = await asyncio.gather(*(opened(minio, bucket) for _ in range(3)))
    await first.put("t/a", nothing())
    assert (await second.head("t/a")).size == 0
    await third.check()


async def test_no_part_of_a_failed_upload_stays(minio: Any) -> None:
    objects = await opened(minio)

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(2 * PART_BYTES)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        await objects.put("t/a", broken())
    uploads = objects._client._list_multipart_uploads(objects._bucket).uploads
    assert uploads == []


async def test_a_wrong_key_says_what_the_server_said_and_no_secret(minio: Any) -> None:
    settings = {**minio.settings("some-bucket"), "s3_secret_key": "wrong-secret"}
    objects = await S3Objects.open(load(backend="local", **settings))
    with pytest.raises(ObjectsUnavailable, match="S3 answered") as caught:
        await objects.check()
    assert "wrong-secret" not in str(caught.value)


async def test_a_bucket_that_went_away_is_no_missing_file_and_comes_back(minio: Any) -> None:
    objects = await opened(minio)
    objects._client.remove_bucket(objects._bucket)
    with pytest.raises(ObjectsUnavailable):
        await objects.put("t/a", nothing())
    await objects.check()
    await objects.put("t/a", nothing())


async def test_a_server_that_comes_later_is_found_then(
    unused_port: int, run_minio: Any, minio: Any, tmp_path: Path
) -> None:
    settings = {**minio.settings("later"), "s3_endpoint": f"127.0.0.1:{unused_port}"}
    objects = await S3Objects.open(load(backend="local", **settings))
    with pytest.raises(ObjectsUnavailable, match="S3 failed"):
        await objects.check()
    with run_minio(tmp_path, unused_port):
        await objects.check()
        await objects.put("t/a", nothing())


async def test_a_download_that_breaks_off_is_an_error_not_an_end() -> None:
    async def half_an_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + bytes(500))
        writer.close()

    async with await serving(half_an_answer) as server:
        objects = stub_of(server)
        with pytest.raises(ObjectsUnavailable):
            assert [chunk async for chunk in objects.get("t/a")]


async def test_a_failure_that_passes_is_tried_again() -> None:
    asked = 0

    async def fails_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        status = b"503 Slow Down" if asked == 1 else b"404 Not Found"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await serving(fails_once) as server:
        with pytest.raises(ObjectMissing):
            await stub_of(server).head("t/a")
    assert asked == 2


async def serving(serve: Serve) -> asyncio.Server:
    return await asyncio.start_server(serve, "127.0.0.1", 0)


def stub_of(server: asyncio.Server) -> S3Objects:
    port = server.sockets[0].getsockname()[1]
    settings = {"s3_endpoint": f"127.0.0.1:{port}", "s3_access_key": "k", "s3_secret_key": "s"}
    return S3Objects(_client(load(backend="local", s3_secure=False, **settings)), "bucket")
