"""One table of promises, held by every object store: the directory and a real MinIO server."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from codesession_api.errors import ObjectMissing
from codesession_api.objects.s3 import PART_BYTES
from codesession_api.ports import Objects

KEYS = [
    "t/s/f/plain.csv",
    "t/s/f/with space & + = ? # % name.csv",
    "t/s/f/données-日本-😀.csv",
    "t/s/f/e\u0301 beside \u00e9",
    "t/s/f/back\\slash 'quotes\" <xml> `x`",
    "t/s/f/.hidden",
    "t/s/f/trailing ",
    "t/s/f/" + "ü" * 127,
    "t/s/f/" + "/".join(["d" * 200] * 3),
    "t/s/f@o/%2F%00",
]
SIZES = [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 2 * PART_BYTES + 7]


class InterruptedSourceError(Exception):
    """What a source of bytes raises in these tests."""


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def in_chunks(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def read(objects: Objects, key: str, offset: int = 0, length: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in objects.get(key, offset=offset, length=length)])


async def keys(objects: Objects, prefix: str) -> list[str]:
    return [info.key async for info in objects.list(prefix)]


@pytest.mark.parametrize("key", KEYS)
async def test_a_key_comes_back_as_it_was(objects: Objects, key: str) -> None:
    await objects.put(key, stream(b"bytes"))
    assert await read(objects, key) == b"bytes"
    assert await keys(objects, "t/s/") == [key]
    assert (await objects.head(key)).key == key
    assert await objects.delete(key)
    assert await keys(objects, "t/s/") == []


@pytest.mark.parametrize("size", SIZES)
async def test_bytes_come_back_as_they_were(objects: Objects, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    put = await objects.put("t/a", in_chunks(data))
    head = await objects.head("t/a")
    (listed,) = [info async for info in objects.list("t/")]
    assert put.size == head.size == listed.size == size
    assert put.etag == head.etag == listed.etag != ""
    assert await read(objects, "t/a") == data


async def test_chunks_may_be_of_any_size(objects: Objects) -> None:
    big = bytes(3 * PART_BYTES + 1)
    await objects.put("t/a", stream(b"x", b"y" * 5, big, b"z"))
    assert await read(objects, "t/a") == b"xyyyyy" + big + b"z"


async def test_what_is_said_about_an_object_is_kept(objects: Objects) -> None:
    metadata = {"read-only": "true", "original-name": "donn%C3%A9es.csv"}
    before = datetime.now(UTC) - timedelta(seconds=2)
    await objects.put("t/a.csv", stream(b"1"), content_type="text/csv", metadata=metadata)
    info = await objects.head("t/a.csv")
    assert info.content_type == "text/csv"
    assert metadata.items() <= info.metadata.items()
    assert before <= info.modified <= datetime.now(UTC) + timedelta(seconds=2)


async def test_a_part_of_an_object_can_be_read(objects: Objects) -> None:
    await objects.put("t/a", stream(b"0123456789"))
    assert await read(objects, "t/a", 3) == b"3456789"
    assert await read(objects, "t/a", 3, 4) == b"3456"
    assert await read(objects, "t/a", 3, 100) == b"3456789"
    assert await read(objects, "t/a", 3, 0) == b""
    assert await read(objects, "t/a", 10) == b""


async def test_a_second_put_replaces_the_first(objects: Objects) -> None:
    await objects.put("t/a", stream(b"first and longer"), metadata={"version": "1"})
    await objects.put("t/a", stream(b"second"))
    assert await read(objects, "t/a") == b"second"
    assert "version" not in (await objects.head("t/a")).metadata


async def test_listing_is_by_prefix_and_in_order(objects: Objects) -> None:
    there = ["t/s1/f1/a", "t/s1/f1@s2/a", "t/s1/f2/b", "t/s10/f1/c", "u/s1/f1/d"]
    for key in reversed(there):
        await objects.put(key, stream(b"x"))
    assert await keys(objects, "t/s1/") == there[:3]
    assert await keys(objects, "t/s1/f1") == there[:2]
    assert await keys(objects, "t/s1/f1/") == there[:1]
    assert await keys(objects, "t/") == there[:4]
    assert await keys(objects, "t/s2/") == []
    assert await keys(objects, "t/s1/f") == there[:3]


async def test_a_listing_longer_than_a_page_is_whole(objects: Objects) -> None:
    names = [f"t/s/{number:04}" for number in range(1005)]
    for start in range(0, len(names), 15):
        await asyncio.gather(*(objects.put(name, stream()) for name in names[start : start + 15]))
    assert await keys(objects, "t/s/") == names


@pytest.mark.parametrize("size", [0, 1, PART_BYTES + 1])
async def test_a_touched_object_is_as_new_and_otherwise_the_same(objects: Objects, size: int) -> None:
    key, metadata = "t/s/f~o/données & <x>.csv", {"read-only": "true", "original-name": "donn%C3%A9es"}
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    await objects.put(key, in_chunks(data), content_type="text/csv", metadata=metadata)
    before = await objects.head(key)
    await asyncio.sleep(1.1)
    await objects.touch(key)
    after = await objects.head(key)
    (listed,) = [info async for info in objects.list("t/s/")]
    assert before.modified < after.modified <= datetime.now(UTC) + timedelta(seconds=2)
    assert listed.modified - after.modified < timedelta(seconds=1)
    assert (after.size, after.content_type) == (size, "text/csv")
    assert metadata.items() <= after.metadata.items()
    assert await read(objects, key) == data
    with pytest.raises(ObjectMissing):
        await objects.touch("t/s/none")
    with pytest.raises(ObjectMissing):
        await objects.touch(f"{key}/below")


async def test_what_is_missing_is_said_so(objects: Objects) -> None:
    with pytest.raises(ObjectMissing):
        await objects.head("t/none")
    with pytest.raises(ObjectMissing):
        await read(objects, "t/none")
    assert not await objects.delete("t/none")
    await objects.put("t/a", stream(b"x"))
    with pytest.raises(ObjectMissing):
        await objects.head("t/a/below")
    assert not await objects.delete("t/a/below")


@pytest.mark.parametrize("key", ["t/../../etc/passwd", "../t", "t/./a", "/t", "t/%2e%2e/a"])
async def test_no_key_reaches_elsewhere(objects: Objects, key: str) -> None:
    """Stored under its own name or refused: never a file of somewhere else."""
    with pytest.raises((ObjectMissing, ValueError)):
        await read(objects, key)


async def test_a_source_that_fails_leaves_nothing(objects: Objects) -> None:
    async def broken(size: int) -> AsyncIterator[bytes]:
        for _ in range(0, size, 100_000):
            yield bytes(100_000)
        raise InterruptedSourceError

    for size in (0, PART_BYTES, 3 * PART_BYTES):
        with pytest.raises(InterruptedSourceError):
            await objects.put("t/a", broken(size))
        assert await keys(objects, "t/") == []


async def test_a_cancelled_put_leaves_nothing(objects: Objects) -> None:
    waiting = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield bytes(PART_BYTES + 1)
        waiting.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(objects.put("t/a", endless()))
    await asyncio.wait_for(waiting.wait(), 10)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await keys(objects, "t/") == []


async def test_readers_may_leave_early(objects: Objects) -> None:
    """More of them than there are connections, and the store still answers."""
    await objects.put("t/a", stream(bytes(3 * PART_BYTES)))
    for _ in range(40):
        chunks = objects.get("t/a")
        assert await anext(chunks)
        await chunks.aclose()  # type: ignore[attr-defined]
    assert len(await read(objects, "t/a")) == 3 * PART_BYTES


async def test_memory_stays_within_parts_both_ways(objects: Objects) -> None:
    size, chunk = 96 * 1024 * 1024, bytes(256 * 1024)

    async def source() -> AsyncIterator[bytes]:
        for _ in range(0, size, len(chunk)):
            yield chunk

    tracemalloc.start()
    try:
        await objects.put("t/big", source())
        seen = 0
        async for piece in objects.get("t/big"):
            seen += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == size
    assert peak < 8 * PART_BYTES


async def test_many_at_once(objects: Objects) -> None:
    names = [f"t/s/{number:02}" for number in range(50)]
    await asyncio.gather(*(objects.put(name, stream(name.encode())) for name in names))
    assert await asyncio.gather(*(read(objects, name) for name in names)) == [n.encode() for n in names]
    listed = [info async for info in objects.list("t/s/")]
    assert all(a.key < b.key for a, b in pairwise(listed))
    await objects.check()
