"""A file as one JSON object with its bytes in base64, written while they are read."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator

from codesession_api import wire
from codesession_api.concurrency import closing
from codesession_api.files import StoredFile


class Content:
    """`size` is that of the JSON, in bytes."""

    def __init__(self, file: StoredFile) -> None:
        said = json.dumps({**wire.content_of(file), "encoding": "base64", "content": ""})
        self._head, self._tail = said[:-2].encode(), said[-2:].encode()
        self.size = len(said) + (file.info.size + 2) // 3 * 4

    async def stream(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        yield self._head
        async with closing(encoded(chunks)) as text:
            async for piece in text:
                yield piece
        yield self._tail


async def encoded(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The bytes in base64. Three bytes make four characters, so up to two wait for the next chunk."""
    rest = b""
    async with closing(chunks):
        async for chunk in chunks:
            data = rest + chunk
            whole = len(data) - len(data) % 3
            rest = data[whole:]
            yield base64.b64encode(memoryview(data)[:whole])
    yield base64.b64encode(rest)
