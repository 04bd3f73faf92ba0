"""Who lacks nothing but room, and in which order they get it when there is some again.

Without an order a newcomer, who asks at once, would be served before those who were refused and wait longer
and longer until they ask again.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from datetime import UTC, datetime

from codesession_crds.conditions import SessionReason
from codesession_operator.views import SessionView

_NO_ROOM = ("Insufficient ", "Too many pods")
"""What the scheduler says of nodes that would do, were they not full."""
_BEGINNING = datetime.min.replace(tzinfo=UTC)

_Rank = tuple[bool, datetime, str]


def lacks_room(session: SessionView) -> bool:
    """Whether a quota or full nodes are why it has no running pod."""
    ready = session.ready
    if ready is None or ready.reason is not SessionReason.UNSCHEDULABLE:
        return ready is not None and ready.reason is SessionReason.QUOTA_EXCEEDED
    return any(words in ready.message for words in _NO_ROOM)


class Lines:
    """A line for each environment: claimed sessions first, for somebody waits there; then by age."""

    def __init__(self) -> None:
        self._lines: dict[str, list[_Rank]] = {}
        self._places: dict[str, tuple[str, _Rank]] = {}

    def join(self, session: SessionView) -> None:
        self.leave(session.name)
        environment, rank = session.environment, _rank(session)
        self._places[session.name] = environment, rank
        insort(self._lines.setdefault(environment, []), rank)

    def leave(self, name: str) -> None:
        environment, rank = self._places.pop(name, (None, None))
        if environment is None or rank is None:
            return
        line = self._lines[environment]
        del line[bisect_left(line, rank)]
        if not line:
            del self._lines[environment]

    def is_turn_of(self, session: SessionView) -> bool:
        """Whether nobody is before it."""
        line = self._lines.get(session.environment)
        return line is None or _rank(session) <= line[0]

    def heads(self) -> list[str]:
        """Who is next, of each environment."""
        return [line[0][-1] for line in self._lines.values()]

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __len__(self) -> int:
        return len(self._places)


def _rank(session: SessionView) -> _Rank:
    return not session.claimed, session.created_at or _BEGINNING, session.name
