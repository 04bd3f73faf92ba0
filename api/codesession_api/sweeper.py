"""Retention: files that nobody used for long are deleted, by whichever replica comes to it first.

An object outside of every tenant says when the last sweep began. Two replicas that find it old at one time
both sweep, which costs requests and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from codesession_api import keys
from codesession_api.concurrency import bounded
from codesession_api.errors import ObjectMissing, ObjectsUnavailable
from codesession_api.files import Files, nothing
from codesession_api.keys import FileKey
from codesession_api.ports import ObjectInfo, Objects, Principal
from codesession_api.settings import Settings

log = logging.getLogger(__name__)

_TRANSFERS = 8

Entry = tuple[FileKey, ObjectInfo]


class Sweeper:
    """Holds one page of a listing and one session's entries at a time."""

    def __init__(
        self, settings: Settings, objects: Objects, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._interval = timedelta(seconds=settings.sweep_seconds)
        self._retention = timedelta(hours=settings.retention_hours)
        self._objects = objects
        self._files = Files(objects)
        self._now = now

    async def run(self) -> None:
        """For ever; a failure is logged, and what it left is found the next time."""
        while True:
            await asyncio.sleep(random.uniform(0, self._interval.total_seconds()))  # noqa: S311
            try:
                await self.look()
            except ObjectsUnavailable:
                log.warning("a sweep ended early: the store did not answer")
            except Exception:
                log.exception("a sweep failed")

    async def look(self) -> int | None:
        """Sweep if it is time to; how many objects went, or None."""
        try:
            begun = (await self._objects.head(keys.SWEEP)).modified
        except ObjectMissing:
            begun = datetime.fromtimestamp(0, UTC)
        if self._now() - begun < self._interval:
            return None
        await self._objects.put(keys.SWEEP, nothing())
        return await self._sweep()

    async def _sweep(self) -> int:
        cutoff, count = self._now() - self._retention, 0
        async for entries in _sessions(self._objects.list("")):
            if any(info.modified < cutoff for _, info in entries):
                count += await self._sweep_session(entries, cutoff)
        log.info("a sweep deleted %d objects", count)
        return count

    async def _sweep_session(self, entries: list[Entry], cutoff: datetime) -> int:
        """Marks go when what they are about is gone: while there are files, a deleted name stays deleted."""
        old = [key for key, info in entries if info.modified < cutoff]
        files = [key for key in old if not key.gone]
        gone = await bounded(_TRANSFERS, (partial(self._delete_unused, key, cutoff) for key in files))
        if sum(gone) < sum(not key.gone for key, _ in entries):
            return sum(gone)
        marks = [str(key) for key in old if key.gone]
        return sum(gone) + sum(await bounded(_TRANSFERS, (partial(self._objects.delete, m) for m in marks)))

    async def _delete_unused(self, key: FileKey, cutoff: datetime) -> bool:
        """Whether it was; it may have been used since it was listed."""
        try:
            if (await self._files.locate(Principal(key.tenant, key.owner), key)).info.modified >= cutoff:
                return False
        except ObjectMissing:
            pass
        else:
            if key.origin is not None:
                return False
        await self._objects.delete(str(key))
        return True


async def _sessions(listing: AsyncIterator[ObjectInfo]) -> AsyncIterator[list[Entry]]:
    """The entries of one session after the other; what is none of ours is left out."""
    entries: list[Entry] = []
    async for info in listing:
        key = keys.parse(info.key)
        if key is None:
            continue
        if entries and (key.tenant, key.session) != (entries[0][0].tenant, entries[0][0].session):
            yield entries
            entries = []
        entries.append((key, info))
    if entries:
        yield entries
