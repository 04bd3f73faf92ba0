"""The one way in which calls are repeated: a few times, spread at random, and only where it does no harm."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from codesession_crds.errors import ApiStatusError, ApiUnreachableError, KubeError

T = TypeVar("T")

_random = secrets.SystemRandom()
_PASSING = frozenset({500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: a random wait below a bound that doubles from `base` to `cap` seconds."""

    base: float = 0.1
    cap: float = 5.0

    def delay(self, attempt: int) -> float:
        """Seconds to wait after failure number `attempt`, counted from 0."""
        return _random.uniform(0, min(self.cap, self.base * 2 ** min(attempt, 32)))


async def retried(
    call: Callable[[], Awaitable[T]],
    *,
    idempotent: bool,
    attempts: int = 5,
    backoff: Backoff = Backoff(),
    longest_wait: float = 30.0,
) -> T:
    """Call until it succeeds, fails for good, or was tried `attempts` times; then its last error is raised.

    A call that is not idempotent is repeated only when the server says that it did not take it (429).
    """
    for attempt in range(attempts - 1):
        try:
            return await call()
        except KubeError as error:
            if not _may_repeat(error, idempotent):
                raise
            asked = (error.retry_after or 0.0) if isinstance(error, ApiStatusError) else 0.0
        await asyncio.sleep(min(asked, longest_wait) + backoff.delay(attempt))
    return await call()


def _may_repeat(error: KubeError, idempotent: bool) -> bool:
    if isinstance(error, ApiStatusError):
        return error.status == 429 or (idempotent and error.status in _PASSING)
    return idempotent and isinstance(error, ApiUnreachableError)
