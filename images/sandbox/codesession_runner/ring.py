"""A bounded memory of what has ended, so that a caller whose stream was cut can still have its answer."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Ring(Generic[T]):
    """Keeps the newest entries within a count, a sum of bytes and an age; the last one whatever its size."""

    def __init__(
        self, *, count: int, size: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._count = count
        self._size = size
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, int, T]] = OrderedDict()
        self._total = 0

    def add(self, key: str, entry: T, size: int) -> None:
        self._entries[key] = (self._clock(), size, entry)
        self._total += size
        while len(self._entries) > 1 and (len(self._entries) > self._count or self._total > self._size):
            self._drop_oldest()

    def get(self, key: str) -> T | None:
        while self._entries and self._clock() - next(iter(self._entries.values()))[0] > self._seconds:
            self._drop_oldest()
        found = self._entries.get(key)
        return found[2] if found else None

    def __len__(self) -> int:
        return len(self._entries)

    def _drop_oldest(self) -> None:
        _, (_, size, _) = self._entries.popitem(last=False)
        self._total -= size
