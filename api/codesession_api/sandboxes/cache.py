"""What this replica knows of the namespace's resources: a dictionary that a watch keeps up to date."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from codesession_crds.client import KubeClient
from codesession_crds.errors import KubeError
from codesession_crds.watch import WatchEvent

_RETRY_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Named(Protocol):
    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=Named)


class Cache(Generic[Item]):
    """The objects below one path, as `parse` gives them. `watch` must be running."""

    def __init__(self, client: KubeClient, path: str, parse: Callable[[dict[str, Any]], Item]) -> None:
        self.failure: str | None = "nothing was listed yet"
        """Why it cannot be trusted; None while it can."""
        self._client = client
        self._path = path
        self._parse = parse
        self._items: dict[str, Item]
        self._clear()
        self._changed = asyncio.Event()

    def get(self, name: str) -> Item | None:
        return self._items.get(name)

    def items(self) -> Iterable[Item]:
        return self._items.values()

    async def changed(self) -> None:
        """Wait until something is different from now."""
        await self._changed.wait()

    async def watch(self) -> None:
        """For ever."""
        while True:
            try:
                async for event in self._client.watch(self._path):
                    self._take_in(event)
            except KubeError as error:
                self.failure = str(error)
                logger.error("watching %s failed: %s", self._path, error)
            await asyncio.sleep(_RETRY_SECONDS)

    def learn(self, item: Item) -> None:
        """Take in what an answer of the API server said; the watch will say it too."""
        self._put(item)
        self._announce()

    def _take_in(self, event: WatchEvent) -> None:
        if event.type == "LISTED":
            self.failure = None
            self._clear()
            for listed in event.items:
                self._put(self._parse(listed))
        else:
            item = self._parse(event.object)
            if event.type == "DELETED":
                self._remove(item.name)
            else:
                self._put(item)
        self._announce()

    def _clear(self) -> None:
        self._items = {}

    def _put(self, item: Item) -> None:
        self._items[item.name] = item

    def _remove(self, name: str) -> None:
        self._items.pop(name, None)

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
