"""Files that are used stay: what a run uses is touched when it has grown old, so that neither the sweeper nor
a client's own idea of what is stale takes it away. This is done beside the run, which never waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

from codesession_api.concurrency import bounded
from codesession_api.errors import ObjectMissing, ObjectsUnavailable
from codesession_api.files import Files
from codesession_api.keys import FileKey
from codesession_api.ports import Principal

log = logging.getLogger(__name__)

OLD = timedelta(hours=1)
_TRANSFERS = 2
_REMEMBERED = 20_000


class Freshener:
    """Remembers what it looked at, so that a file costs a request an hour and not one for each run. `now` is
    in seconds on a monotonic clock."""

    def __init__(self, files: Files, now: Callable[[], float] = time.monotonic) -> None:
        self._files = files
        self._now = now
        self._looked: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def used(self, by: Principal, keys: Iterable[FileKey]) -> None:
        """Returns at once."""
        due = [key for key in keys if self._due(key)]
        if due:
            task = asyncio.create_task(self._refresh(by, due))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _due(self, key: FileKey) -> bool:
        now, name = self._now(), f"{key.tenant}/{key.tag}"
        if now - self._looked.get(name, float("-inf")) < OLD.total_seconds():
            return False
        if len(self._looked) >= _REMEMBERED:
            self._looked.clear()
        self._looked[name] = now
        return True

    async def _refresh(self, by: Principal, keys: Iterable[FileKey]) -> None:
        try:
            await bounded(_TRANSFERS, (partial(self._refresh_one, by, key) for key in keys))
        except ObjectsUnavailable:
            log.warning("files in use were not touched: the store did not answer")

    async def _refresh_one(self, by: Principal, key: FileKey) -> None:
        with contextlib.suppress(ObjectMissing):
            file = await self._files.locate(by, key)
            if datetime.now(UTC) - file.info.modified > OLD:
                await self._files.touch(file)

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
