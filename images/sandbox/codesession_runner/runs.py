"""All runs of the sandbox: one at a time in the order of their coming, remembered for a while when they end.

A run is known by its id alone. Whoever opens it again, on whatever connection, follows the same output from
its first byte; nothing that a connection does can start it twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from codesession_runner.errors import OperationError
from codesession_runner.ring import Ring
from codesession_runner.run import Outcome, Run, end_of

MAX_WAITING = 16
MAX_WAITING_BYTES = 32 * 1024 * 1024
ORPHAN_SECONDS = 15.0
RING_COUNT = 32
RING_BYTES = 16 * 1024 * 1024
RING_SECONDS = 600.0

logger = logging.getLogger(__name__)


class Runs:
    def __init__(
        self,
        execute: Callable[[Run], Awaitable[Mapping[str, Any]]],
        *,
        orphan_seconds: float = ORPHAN_SECONDS,
    ) -> None:
        self._execute = execute
        self._orphan_seconds = orphan_seconds
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, Run] = {}
        self._current: Run | None = None
        self._ended: Ring[Run] = Ring(count=RING_COUNT, size=RING_BYTES, seconds=RING_SECONDS)
        self._followers: dict[str, int] = {}
        self._orphaned: dict[str, asyncio.TimerHandle] = {}
        self._arrived = asyncio.Event()

    def find(self, run_id: str) -> Run | None:
        """A run that waits, goes on, or ended not too long ago."""
        if self._current is not None and self._current.id == run_id:
            return self._current
        return self._waiting.get(run_id) or self._ended.get(run_id)

    def requested(self, request: str) -> Run | None:
        """The run that waits or goes on, and whose last step has this name."""
        alive = [*self._waiting.values(), *([self._current] if self._current else [])]
        return next((run for run in alive if run.request == request), None)

    def submit(self, run: Run) -> None:
        """Queue a run with an id that `find` does not know; `busy` when too much waits."""
        size = run.size() + sum(other.size() for other in self._waiting.values())
        if len(self._waiting) >= MAX_WAITING or size > MAX_WAITING_BYTES:
            raise OperationError("busy", "too many runs wait in this sandbox")
        self._waiting[run.id] = run
        self._arrived.set()

    def cancel(self, run: Run) -> None:
        if self._waiting.pop(run.id, None):
            self._conclude(run, end_of(Outcome.CANCELLED))
        elif run is self._current:
            run.cancel()

    @contextlib.contextmanager
    def following(self, run: Run) -> Iterator[None]:
        """Hold while a run is followed; one that nobody follows for a while is cancelled, unless it waits for
        its callers, which has a limit of its own."""
        self._followers[run.id] = self._followers.get(run.id, 0) + 1
        if timer := self._orphaned.pop(run.id, None):
            timer.cancel()
        try:
            yield
        finally:
            self._followers[run.id] -= 1
            if not self._followers[run.id]:
                del self._followers[run.id]
                if run.result is None and run.pause is None:
                    timer = self._loop.call_later(self._orphan_seconds, self.cancel, run)
                    self._orphaned[run.id] = timer

    async def work(self) -> None:
        """Execute what is submitted, for ever."""
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            run = self._current = self._waiting.pop(next(iter(self._waiting)))
            self._conclude(run, await self._outcome(run))

    async def _outcome(self, run: Run) -> Mapping[str, Any]:
        try:
            return await self._execute(run)
        except OperationError as error:
            return error.body()
        except Exception:
            logger.exception("a run could not be carried out")
            return OperationError("internal", "the run failed inside the runner").body()

    def _conclude(self, run: Run, result: Mapping[str, Any]) -> None:
        if run is self._current:
            self._current = None
        if timer := self._orphaned.pop(run.id, None):
            timer.cancel()
        run.end(result)
        self._ended.add(run.id, run, run.size())
