from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from codesession_api.errors import QuotaExceeded
from codesession_api.files import Files
from codesession_api.keys import FileKey, new_file_id
from codesession_api.ports import Principal
from codesession_api.quotas import Allowance, Meter, Quotas
from codesession_api.settings import load

ALICE, BOB = Principal("t", "a" * 32), Principal("t", "b" * 32)
SESSION = "s" * 21


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def read(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


def allowance(files: int = 10, size: int = 10) -> tuple[Allowance, Meter, Meter]:
    count, total = Meter(files, "files"), Meter(size, "bytes")
    return Allowance(count, total), count, total


@pytest.mark.parametrize(
    ("size", "chunks", "used"),
    [
        (0, [], 0),
        (10, [b"x" * 10], 10),
        (10, [b"12345", b"67890"], 10),
        (0, [b"12345", b"67890"], 10),
        (3, [b"1", b"23456"], 6),
        (9, [b"1"], 1),
        (-5, [b"1"], 1),
    ],
)
async def test_what_fits_is_counted_as_it_is(size: int, chunks: list[bytes], used: int) -> None:
    allowed, count, total = allowance()
    assert await read(allowed.metered(stream(*chunks), size)) == b"".join(chunks)
    assert (count.used, total.used) == (1, used)


@pytest.mark.parametrize(
    ("size", "chunks"), [(11, []), (0, [b"x" * 11]), (5, [b"12345", b"678901"]), (-1, [b"x" * 11])]
)
async def test_what_does_not_fit_is_refused_and_takes_nothing(size: int, chunks: list[bytes]) -> None:
    allowed, count, total = allowance()
    with pytest.raises(QuotaExceeded, match="bytes"):
        await read(allowed.metered(stream(*chunks), size))
    assert (count.used, total.used) == (0, 0)


async def test_one_file_too_many() -> None:
    allowed, count, total = allowance(files=1)
    await read(allowed.metered(stream(b"1")))
    with pytest.raises(QuotaExceeded, match="files"):
        await read(allowed.metered(stream(b"2")))
    assert (count.used, total.used) == (1, 1)


async def test_who_leaves_in_the_middle_has_taken_nothing() -> None:
    allowed, count, total = allowance()
    chunks = allowed.metered(stream(b"12", b"34"), 4)
    assert await anext(chunks) == b"12"
    assert total.used == 4
    await chunks.aclose()  # type: ignore[attr-defined]
    assert (count.used, total.used) == (0, 0)


async def test_files_at_one_time_share_what_there_is() -> None:
    """Together they never have more than the limit, and of two that do not both fit one does."""
    allowed, _, total = allowance()

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(6):
            await asyncio.sleep(0)
            assert total.used <= total.limit
            yield b"x"

    async def one() -> bool:
        with contextlib.suppress(QuotaExceeded):
            return len(await read(allowed.metered(slow(), 6))) == 6
        return False

    assert sorted(await asyncio.gather(one(), one())) == [False, True]
    assert total.used == 6


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_principal_is_counted_once_in_a_while(application: Any) -> None:
    files = Files(application.objects)
    clock = Clock()
    quotas = Quotas(load(backend="local", auth="none", principal_bytes=10), files, clock)

    async def room(by: Principal) -> int:
        """How many bytes can still be stored at once."""
        allowed = await quotas.of_new_session(by)
        for size in range(10, 0, -1):
            chunks = allowed.metered(stream(b"x"), size)
            with contextlib.suppress(QuotaExceeded):
                await anext(chunks)
                await chunks.aclose()  # type: ignore[attr-defined]
                return size
        return 0

    async def store(by: Principal, size: int) -> None:
        await files.add(FileKey.of(by, SESSION, new_file_id(), "a"), stream(bytes(size)))

    await store(ALICE, 3)
    await store(BOB, 4)
    assert [await room(ALICE), await room(BOB)] == [7, 6]
    assert await asyncio.gather(*(room(ALICE) for _ in range(5))) == [7] * 5
    await store(ALICE, 2)
    await read((await quotas.of_new_session(BOB)).metered(stream(b"123")))
    clock.now = 29
    assert [await room(ALICE), await room(BOB)] == [7, 3]
    assert application.objects.listed == ["t/"]
    clock.now = 31
    assert [await room(ALICE), await room(BOB)] == [5, 6]
    assert application.objects.listed == ["t/", "t/"]
