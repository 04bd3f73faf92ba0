"""The time that a run may take. It stands still while the run waits for its callers, who have a limit too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from codesession_runner.run import Outcome

WAIT_SECONDS = 600.0
"""What a run may wait for its callers in all."""


class Clock:
    """`stop` is called with the verdict when the time is up: `timeout` seconds from the start, and again from
    each time that the run goes on after it waited; or `waiting` seconds of all its waiting."""

    def __init__(
        self, timeout: float, stop: Callable[[Outcome], None], *, waiting: float = WAIT_SECONDS
    ) -> None:
        self._timeout = timeout
        self._stop = stop
        self._left = waiting
        self._wall = 0.0
        self._since: float | None = None
        self._waits = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._begin(self._timeout, Outcome.TIMEOUT)

    def pause(self) -> None:
        if self._since is not None:
            self._account()
            self._waits = True
            self._begin(self._left, Outcome.CANCELLED)

    def resume(self) -> None:
        if self._since is not None:
            self._account()
            self._waits = False
            self._begin(self._timeout, Outcome.TIMEOUT)

    def stop(self) -> float:
        """Seconds that the run ran, without those that it waited."""
        self._account()
        return self._wall

    def _begin(self, seconds: float, verdict: Outcome) -> None:
        self._since = time.perf_counter()
        self._timer = asyncio.get_running_loop().call_later(max(seconds, 0), self._stop, verdict)

    def _account(self) -> None:
        if self._since is None:
            return
        took, self._since = time.perf_counter() - self._since, None
        if self._waits:
            self._left -= took
        else:
            self._wall += took
        if self._timer is not None:
            self._timer.cancel()
