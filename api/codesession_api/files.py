"""The files of sessions, as the object store holds them; no replica remembers any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote

from codesession_api import keys, media
from codesession_api.errors import ObjectMissing
from codesession_api.keys import FileKey
from codesession_api.ports import ObjectInfo, Objects

READ_ONLY = "read-only"
MODIFIED_FROM = "modified-from"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a session: `key` is where it is listed, `info` is about its bytes, wherever these are."""

    key: FileKey
    info: ObjectInfo

    @property
    def read_only(self) -> bool:
        """Known only of a file that was looked up by `locate`."""
        return self.info.metadata.get(READ_ONLY) == "true"


class Files:
    """What `Objects` is to bytes, this is to files. Missing ones raise `ObjectMissing`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def add(
        self, key: FileKey, chunks: AsyncIterator[bytes], metadata: dict[str, str] | None = None
    ) -> StoredFile:
        info = await self._objects.put(
            str(key), chunks, content_type=media.content_type(key.name), metadata=metadata
        )
        return StoredFile(key, info)

    async def mark(self, key: FileKey) -> None:
        """Note in a session's history that it was given a file, or that a name was deleted."""
        await self._objects.put(str(key), _nothing())

    def read(self, file: StoredFile, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        return self._objects.get(file.info.key, offset=offset, length=length)

    async def find(self, tenant: str, session: str, file_id: str) -> StoredFile:
        """By its ids alone; of a file of this session itself, only what a listing tells is filled in."""
        async for info in self._objects.list(keys.file_prefix(tenant, session, file_id)):
            key = keys.parse(info.key)
            if key is None or key.gone:
                continue
            if key.origin is None:
                return StoredFile(key, info)
            return StoredFile(key, (await self.locate(key.home)).info)
        raise ObjectMissing

    async def locate(self, key: FileKey) -> StoredFile:
        """With all that is known of it. The name in the key is tried first, as that saves a listing."""
        try:
            return StoredFile(key.home, await self._objects.head(str(key.home)))
        except ObjectMissing:
            found = await self.find(key.tenant, key.home.session, key.file_id)
        return StoredFile(found.key, await self._objects.head(found.info.key))

    async def history(self, tenant: str, session: str) -> list[FileKey]:
        """All that happened to a session's files, in order."""
        prefix = keys.session_prefix(tenant, session)
        parsed = [keys.parse(info.key) async for info in self._objects.list(prefix)]
        return [key for key in parsed if key is not None]

    async def current(self, tenant: str, session: str) -> list[FileKey]:
        """What a session that is gone is restored to: the last of each name that was not deleted since."""
        last = {key.name: key for key in await self.history(tenant, session)}
        return [key for key in last.values() if not key.gone]

    async def listing(self, tenant: str, session: str) -> list[StoredFile]:
        """Every file that a session made or was given, the oldest first, old states of a name included."""
        listed: list[StoredFile] = []
        given: list[FileKey] = []
        async for info in self._objects.list(keys.session_prefix(tenant, session)):
            key = keys.parse(info.key)
            if key is not None and key.origin is not None:
                given.append(key)
            elif key is not None and not key.gone:
                listed.append(StoredFile(key, info))
        listed += [file for file in await asyncio.gather(*map(self._given, given)) if file is not None]
        return sorted(listed, key=lambda file: file.key.file_id)

    async def _given(self, key: FileKey) -> StoredFile | None:
        try:
            return StoredFile(key, (await self.locate(key)).info)
        except ObjectMissing:
            return None

    async def delete(self, tenant: str, session: str, file_id: str) -> bool:
        """Whether it was there."""
        found = [info.key async for info in self._objects.list(keys.file_prefix(tenant, session, file_id))]
        return any([await self._objects.delete(key) for key in found])

    async def delete_session(self, tenant: str, session: str) -> bool:
        """Whether there was anything."""
        found = [info.key async for info in self._objects.list(keys.session_prefix(tenant, session))]
        return any([await self._objects.delete(key) for key in found])


def ascii_value(text: str) -> str:
    """Text as a metadata value, which must be ASCII and short."""
    return quote(text[:256], safe="/:@")


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
