"""How much one replica takes on at one time. It is said at once and before a body is read, since what waits
here would hold memory and come too late for clients that give up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from codesession_api import metrics
from codesession_api.errors import rate_limited

_RETRY_SECONDS = 2


class Slots:
    """So many at all, and so many of one holder."""

    def __init__(self, total: int, each: int, *, counted: bool = True) -> None:
        """`counted` is whether they are runs, which a metric tells."""
        self._counted = counted
        self._total = total
        self._each = each
        self._held: Counter[str] = Counter()

    @contextmanager
    def taken(self, holder: str) -> Iterator[None]:
        """Raises ApiError 429 when there is none left."""
        if self._held.total() >= self._total:
            raise rate_limited("The server runs as much as it can.", _RETRY_SECONDS)
        if self._held[holder] >= self._each:
            raise rate_limited("Too many of your runs are under way.", _RETRY_SECONDS)
        self._held[holder] += 1
        try:
            with metrics.IN_FLIGHT.track_inprogress() if self._counted else nullcontext():
                yield
        finally:
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]
