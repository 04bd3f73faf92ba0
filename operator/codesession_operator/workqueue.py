"""What to look at again: each key at most once in the queue, never twice at a time, later after errors."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from codesession_crds.retry import Backoff
from codesession_operator.deadlines import Deadlines

_BACKOFF = Backoff(base=0.4, cap=60.0)


class Key(NamedTuple):
    """An object to reconcile."""

    kind: str
    name: str


class WorkQueue:
    """Keys added while they are worked on come back afterwards: no change is lost, none twice at once.

    Made and used within one running event loop.
    """

    def __init__(self, backoff: Backoff = _BACKOFF) -> None:
        self._backoff = backoff
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._wanted: set[Key] = set()
        self._working: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._deadlines: Deadlines[Key] = Deadlines()
        self._timer: asyncio.Handle | None = None
        self._armed: float | None = None
        """The moment that the timer is set to."""

    def add(self, key: Key) -> None:
        if key in self._wanted:
            return
        self._wanted.add(key)
        if key not in self._working:
            self._ready.put_nowait(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Add then, unless the key is worked on before: that settles anew when to come back."""
        self._deadlines.set(key, self._loop.time() + seconds)
        self._arm()

    async def get(self) -> Key:
        """The next key; `done` or `failed` must follow."""
        key = await self._ready.get()
        self._wanted.discard(key)
        self._working.add(key)
        self._deadlines.clear(key)
        return key

    def done(self, key: Key, again_after: float | None = None) -> None:
        """It was reconciled; look again after so many seconds, if any."""
        self._failures.pop(key, None)
        if again_after is not None:
            self.add_after(key, again_after)
        self._release(key)

    def failed(self, key: Key) -> None:
        """It could not be reconciled: try again after a while that doubles each time."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, self._backoff.delay(failures))
        self._release(key)

    def __len__(self) -> int:
        """Keys that wait to be worked on now."""
        return len(self._wanted)

    def _release(self, key: Key) -> None:
        self._working.discard(key)
        if key in self._wanted:
            self._ready.put_nowait(key)

    def _arm(self) -> None:
        moment = self._deadlines.next()
        if moment == self._armed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed = moment
        self._timer = None if moment is None else self._loop.call_at(moment, self._ring)

    def _ring(self) -> None:
        self._timer = self._armed = None
        for key in self._deadlines.due(self._loop.time()):
            self.add(key)
        self._arm()
