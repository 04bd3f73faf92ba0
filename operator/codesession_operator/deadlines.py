"""When to look at which key again: one heap for all, instead of a task for each."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_SLACK = 64


class Deadlines(Generic[K]):
    """At most one moment per key, in seconds of any clock; a later word replaces an earlier one."""

    def __init__(self) -> None:
        self._moments: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0

    def set(self, key: K, moment: float) -> None:
        if self._moments.get(key) == moment:
            return
        self._moments[key] = moment
        self._push(moment, key)
        if len(self._heap) > 2 * len(self._moments) + _SLACK:
            self._compact()

    def clear(self, key: K) -> None:
        self._moments.pop(key, None)

    def next(self) -> float | None:
        """The earliest moment."""
        self._drop_replaced()
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> list[K]:
        """Keys whose moment has come, earliest first; they are forgotten."""
        keys: list[K] = []
        while (moment := self.next()) is not None and moment <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._moments[key]
            keys.append(key)
        return keys

    def __len__(self) -> int:
        return len(self._moments)

    def _push(self, moment: float, key: K) -> None:
        self._count += 1  # keys need no order of their own
        heapq.heappush(self._heap, (moment, self._count, key))

    def _drop_replaced(self) -> None:
        while self._heap and self._moments.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)

    def _compact(self) -> None:
        self._heap = [entry for entry in self._heap if self._moments.get(entry[2]) == entry[0]]
        heapq.heapify(self._heap)
