"""Objects whose calls are spans: how long the store took, and for how many bytes. No key of it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator

from codesession_api import tracing
from codesession_api.concurrency import closing
from codesession_api.ports import ObjectInfo, Objects


class TracedObjects:
    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def put(
        self,
        key: str,
        chunks: AsyncIterator[bytes],
        *,
        size: int | None = None,
        content_type: str = "application/octet-stream",
        metadata: dict[str, str] | None = None,
    ) -> ObjectInfo:
        with tracing.span("objects.put") as span:
            info = await self._objects.put(
                key, chunks, size=size, content_type=content_type, metadata=metadata
            )
            span.set(bytes=info.size)
            return info

    async def head(self, key: str) -> ObjectInfo:
        with tracing.span("objects.head"):
            return await self._objects.head(key)

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Its span is beside, not around, what the reader does between two chunks."""
        with tracing.beside("objects.get") as span:
            read = 0
            async with closing(self._objects.get(key, offset=offset, length=length)) as chunks:
                async for chunk in chunks:
                    read += len(chunk)
                    yield chunk
            span.set(bytes=read)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        with tracing.beside("objects.list") as span:
            count = 0
            async with closing(self._objects.list(prefix)) as found:
                async for info in found:
                    count += 1
                    yield info
            span.set(objects=count)

    async def touch(self, key: str) -> None:
        with tracing.span("objects.touch"):
            await self._objects.touch(key)

    async def delete(self, key: str) -> bool:
        with tracing.span("objects.delete"):
            return await self._objects.delete(key)

    async def check(self) -> None:
        await self._objects.check()
