"""How long a client goes on asking a server that has no room."""

from __future__ import annotations

from dataclasses import dataclass

from codesession.errors import NOT_BEGUN, BusyError

_FIRST_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Patience:
    """`attempts` in all, and not more than `seconds` of waiting. One attempt is no patience."""

    attempts: int = 5
    seconds: float = 60.0


class Retries:
    """Of one request. `repeatable` is one that may be done twice."""

    def __init__(self, patience: Patience, *, repeatable: bool) -> None:
        self._patience = patience
        self._repeatable = repeatable
        self._made = 1
        self._left = patience.seconds

    def delay(self, refused: BusyError) -> float:
        """Seconds to wait before the next attempt: what the server said, or twice those of before. Raises the
        refusal where there is to be none."""
        wanted = refused.retry_after
        seconds = _FIRST_SECONDS * 2 ** (self._made - 1) if wanted is None else wanted
        if self._made >= self._patience.attempts or seconds > self._left or not self._may_repeat(refused):
            raise refused
        self._made += 1
        self._left -= seconds
        return seconds

    def _may_repeat(self, refused: BusyError) -> bool:
        return self._repeatable or refused.status == 429 or refused.code in NOT_BEGUN
