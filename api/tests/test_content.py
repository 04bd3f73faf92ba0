from __future__ import annotations

import base64
import json
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesession_api.content import Content, encoded
from codesession_api.files import StoredFile
from codesession_api.keys import FileKey
from codesession_api.ports import ObjectInfo


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def stored(name: str, size: int) -> StoredFile:
    key = FileKey("t", "S" * 21, "F" * 21, name, "0" * 32)
    return StoredFile(key, ObjectInfo(str(key), size, "e", datetime.now(UTC)))


@given(st.lists(st.binary(max_size=7)))
async def test_bytes_in_base64_however_they_arrive(chunks: list[bytes]) -> None:
    text = b"".join([piece async for piece in encoded(stream(*chunks))])
    assert text == base64.b64encode(b"".join(chunks))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 1000])
@pytest.mark.parametrize("name", ["a.csv", 'données "日本".txt'])
async def test_the_json_is_as_long_as_it_says(name: str, size: int) -> None:
    content = Content(stored(name, size))
    text = b"".join([piece async for piece in content.stream(stream(bytes(size)))])
    assert len(text) == content.size
    said = json.loads(text)
    assert (said["name"], said["size"], said["encoding"]) == (name, size, "base64")
    assert base64.b64decode(said["content"]) == bytes(size)


async def test_no_file_is_held_as_a_whole() -> None:
    size, chunk = 32 * 1024 * 1024, bytes(256 * 1024)

    async def source() -> AsyncIterator[bytes]:
        for _ in range(0, size, len(chunk)):
            yield chunk

    tracemalloc.start()
    try:
        seen = sum([len(piece) async for piece in Content(stored("big", size)).stream(source())])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen > size * 4 // 3
    assert peak < 4 * 1024 * 1024
