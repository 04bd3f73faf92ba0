"""The warm pool of an environment: which unclaimed sessions are missing, and which are too many."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from codesession_crds.environment import CodeEnvironment
from codesession_operator.room import lacks_room
from codesession_operator.views import SessionView

_MINUTE = timedelta(minutes=1)
_LONGEST_PAUSE = 300.0
_CALM_SECONDS = 0.5
"""A pool that was full waits so long before it makes another: that takes seconds of processor time, and the
sandbox that was claimed has its first run."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An unclaimed session."""

    session: SessionView
    ready: bool
    stale: bool
    """Its pod was made by an earlier state of the environment."""

    @property
    def cramped(self) -> bool:
        return lacks_room(self.session)


@dataclass(frozen=True, slots=True)
class PoolPlan:
    create: int = 0
    delete: tuple[SessionView, ...] = ()


def plan_pool(
    environment: CodeEnvironment, waiting: Sequence[Waiting], allowance: int, *, yields: bool = False
) -> PoolPlan:
    """Towards `warmPool.replicas` sessions of the environment as it is now, `allowance` of them at once.

    All that exist count, ready or not, so nothing is made twice. Stale ones go as fresh ones become ready;
    where there is no room for both, one goes ahead. While the pool `yields`, nothing is started, and what is
    not ready makes room: somebody waits for it.
    """
    wanted = environment.spec.warm_pool.replicas
    fresh = sorted((one for one in waiting if not one.stale), key=_least_useful_first)
    stale = sorted((one for one in waiting if one.stale), key=_least_useful_first)
    spare, outdated = max(0, len(fresh) - wanted), _outdated(wanted, fresh, stale)
    surplus, kept = [*fresh[:spare], *stale[:outdated]], [*fresh[spare:], *stale[outdated:]]
    if yields:
        surplus += [one for one in kept if not one.ready]
    return PoolPlan(
        create=0 if yields else min(max(0, wanted - len(fresh)), allowance),
        delete=tuple(one.session for one in surplus),
    )


def _outdated(wanted: int, fresh: Sequence[Waiting], stale: Sequence[Waiting]) -> int:
    """How many stale ones have been of use."""
    spare = sum(one.ready for one in fresh) + len(stale) - wanted
    cramped = any(one.cramped for one in fresh)
    return min(len(stale), max(0, spare + cramped))


def _least_useful_first(one: Waiting) -> tuple[bool, str]:
    return one.ready, one.session.name


@dataclass(slots=True)
class Refill:
    """How fast a pool may be filled: so many in any minute, and slower while what it makes fails."""

    created: deque[datetime] = field(default_factory=deque)
    failures: int = 0
    failed_at: datetime | None = None
    full: bool = False
    claimed_at: datetime | None = None
    """When one was first missing in a pool that had been full."""

    def allowance(self, per_minute: int, now: datetime) -> int:
        if self.pause(now) > 0:
            return 0
        while self.created and self.created[0] <= now - _MINUTE:
            self.created.popleft()
        return max(0, per_minute - len(self.created))

    def wait(self, per_minute: int, now: datetime) -> float | None:
        """Seconds until there is an allowance again; None while there is one."""
        if self.allowance(per_minute, now) > 0:
            return None
        full = (self.created[0] + _MINUTE - now).total_seconds() if len(self.created) >= per_minute else 0.0
        return max(self.pause(now), full)

    def pause(self, now: datetime) -> float:
        """Seconds to wait because of failures, two after the first, doubling; or because of a first run."""
        pause = 0.0
        if self.failed_at is not None and self.failures:
            failed = min(_LONGEST_PAUSE, 2.0 ** min(self.failures, 16))
            pause = (self.failed_at - now).total_seconds() + failed
        if self.claimed_at is not None:
            pause = max(pause, (self.claimed_at - now).total_seconds() + _CALM_SECONDS)
        return max(0.0, pause)

    def note_missing(self, missing: int, now: datetime) -> None:
        """So many are missing now."""
        if missing <= 0:
            self.full, self.claimed_at = True, None
        elif self.full:
            self.full, self.claimed_at = False, now

    def note_created(self, now: datetime) -> None:
        self.created.append(now)

    def note_failed(self, now: datetime) -> None:
        """One of the pool failed before anybody claimed it."""
        self.failures += 1
        self.failed_at = now

    def note_ready(self, created: datetime) -> None:
        """One that was made at `created` is ready; if that was after the last failure, all is well again."""
        if self.failed_at is not None and created > self.failed_at:
            self.failures, self.failed_at = 0, None
