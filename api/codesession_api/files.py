"""The files of sessions, as the object store holds them; no replica remembers any.

Whoever asks is a `Principal`: what it may not read is not there for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from functools import partial

from codesession_api import keys, media
from codesession_api.concurrency import bounded
from codesession_api.errors import ObjectMissing
from codesession_api.keys import FileKey
from codesession_api.ports import ObjectInfo, Objects, Principal
from codesession_api.scope import ANY, Scope

READ_ONLY = "read-only"
MODIFIED_FROM = "modified-from"

_LOOKS = 8
"""Objects that one listing asks the store about at one time."""


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
        await self._objects.put(str(key), nothing())

    async def touch(self, file: StoredFile) -> None:
        """As if it were new."""
        await self._objects.touch(file.info.key)

    def read(self, file: StoredFile, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        return self._objects.get(file.info.key, offset=offset, length=length)

    async def find(self, by: Principal, session: str, file_id: str, scope: Scope = ANY) -> StoredFile:
        """By its ids alone; of a file of this session itself, only what a listing tells is filled in."""
        async for info in self._objects.list(keys.file_prefix(by.tenant, session, file_id)):
            key = keys.parse(info.key)
            if key is None or key.gone or not key.readable_by(by):
                continue
            if key.origin is not None:
                return StoredFile(key, (await self.locate(by, key, scope)).info)
            if await self._admitted(by, info.key, scope):
                return StoredFile(key, info)
        raise ObjectMissing

    async def find_named(self, by: Principal, session: str, name: str, scope: Scope = ANY) -> StoredFile:
        """The newest file of that name in the session."""
        for key in await self.latest(by, session):
            if key.name == name and not key.gone:
                return StoredFile(key, (await self.locate(by, key, scope)).info)
        raise ObjectMissing

    async def locate(self, by: Principal, key: FileKey, scope: Scope = ANY) -> StoredFile:
        """With all that is known of it. The likeliest key is tried first, as that saves a listing."""
        home = key.home
        try:
            if not home.readable_by(by):
                raise ObjectMissing
            found = StoredFile(home, await self._objects.head(str(home)))
        except ObjectMissing:
            there = await self.find(by, home.session, key.file_id)
            found = StoredFile(there.key, await self._objects.head(there.info.key))
        if by.proved and not scope.admits(found.info.metadata):
            raise ObjectMissing
        return found

    async def history(self, by: Principal, session: str) -> list[FileKey]:
        """All that happened to a session's files, in order."""
        return [key async for key, _ in self._entries(by, session)]

    async def latest(self, by: Principal, session: str) -> list[FileKey]:
        """The last that happened to each name: what a session that is gone is restored to."""
        return list({key.name: key for key in await self.history(by, session)}.values())

    async def listing(self, by: Principal, session: str, scope: Scope = ANY) -> list[StoredFile]:
        """Every file that a session made or was given, the oldest first, old states of a name included."""
        entries = [entry async for entry in self._entries(by, session) if not entry[0].gone]
        listed = await bounded(_LOOKS, (partial(self._listed, by, *entry, scope) for entry in entries))
        return [file for file in listed if file is not None]

    async def stored(self, by: Principal, session: str) -> AsyncIterator[StoredFile]:
        """The files whose bytes the session itself holds."""
        async for key, info in self._entries(by, session):
            if key.bears_bytes:
                yield StoredFile(key, info)

    async def stored_by_owner(self, tenant: str) -> dict[str, int]:
        """The bytes of all files of a tenant, by principal."""
        sizes: dict[str, int] = {}
        async for info in self._objects.list(keys.tenant_prefix(tenant)):
            if key := keys.parse(info.key):
                sizes[key.owner] = sizes.get(key.owner, 0) + info.size
        return sizes

    async def delete(self, by: Principal, session: str, file_id: str, scope: Scope = ANY) -> bool:
        """Whether it was there."""
        prefix = keys.file_prefix(by.tenant, session, file_id)
        found = await self._own(by, prefix)
        return await self._delete([key for key in found if await self._admitted(by, key, scope)])

    async def delete_session(self, by: Principal, session: str) -> bool:
        """Whether there was anything."""
        return await self._delete(await self._own(by, keys.session_prefix(by.tenant, session)))

    async def _entries(self, by: Principal, session: str) -> AsyncIterator[tuple[FileKey, ObjectInfo]]:
        async for info in self._objects.list(keys.session_prefix(by.tenant, session)):
            key = keys.parse(info.key)
            if key is not None and key.readable_by(by):
                yield key, info

    async def _listed(self, by: Principal, key: FileKey, info: ObjectInfo, scope: Scope) -> StoredFile | None:
        try:
            if key.origin is not None:
                return StoredFile(key, (await self.locate(by, key, scope)).info)
            return StoredFile(key, info) if await self._admitted(by, info.key, scope) else None
        except ObjectMissing:
            return None

    async def _admitted(self, by: Principal, key: str, scope: Scope) -> bool:
        """Whether a file that holds its bytes is what the request says of it. Only uploads say anything."""
        parsed = keys.parse(key)
        if not (by.proved and scope and parsed and keys.is_upload_id(parsed.session)):
            return True
        return scope.admits((await self._objects.head(key)).metadata)

    async def _own(self, by: Principal, prefix: str) -> list[str]:
        listed = [info.key async for info in self._objects.list(prefix)]
        return [key for key in listed if (parsed := keys.parse(key)) and parsed.of_principal(by)]

    async def _delete(self, found: Iterable[str]) -> bool:
        return any([await self._objects.delete(key) for key in found])


async def nothing() -> AsyncIterator[bytes]:
    """The content of an object that says all in its key."""
    return
    yield b""
