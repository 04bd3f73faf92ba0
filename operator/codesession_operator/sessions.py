"""Reconciling one session: plan, act, and plan again until there is nothing left to do now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from codesession_crds.conditions import SessionReason
from codesession_crds.paths import CODE_SESSIONS, PODS
from codesession_operator.actions import Actions
from codesession_operator.clock import Clock
from codesession_operator.executor import Executor, RefusedError
from codesession_operator.orphans import Orphans
from codesession_operator.plan import Observed, Refusal, plan
from codesession_operator.room import Lines
from codesession_operator.views import SessionView
from codesession_operator.world import World, session_key

_PASSES = 6
_CONFLICT_SECONDS = 1.0
_REFUSED_SECONDS = (5.0, 10.0, 20.0, 40.0)
_QUOTA_SECONDS = 5.0
"""How often the first of a line asks; it is also called when a pod is gone."""
_QUEUEING_SECONDS = 60.0


class SessionReconciler:
    """`pool_failed` is called with the environment of each unclaimed session that had to be thrown away."""

    def __init__(
        self,
        world: World,
        executor: Executor,
        clock: Clock,
        max_restarts: int,
        pool_failed: Callable[[str], None],
    ) -> None:
        self._world = world
        self._executor = executor
        self._clock = clock
        self._max_restarts = max_restarts
        self._pool_failed = pool_failed
        self._orphans = Orphans(world, executor, clock)
        self._lines = Lines()
        self._refusals: dict[str, list[Refusal]] = {}

    async def reconcile(self, name: str) -> float | None:
        """Seconds after which to come back, if ever."""
        for _ in range(_PASSES):
            session = self._world.sessions.get(name)
            if session is None:
                self._makes_room(name)
                return await self._orphans.reconcile(name)
            actions = plan(self._observed(session), self._clock(), self._max_restarts)
            if not actions.changes_objects:
                if not actions.refused:
                    self._makes_room(name)
                await self._report(session, actions)
                return actions.requeue_after
            if not await self._carry_out(session, actions):
                break
        return _CONFLICT_SECONDS

    def _observed(self, session: SessionView) -> Observed:
        environment = self._world.environments.get(session.environment)
        refusals = self._refusals.get(session.name)
        return Observed(
            session=session,
            environment=environment,
            guarded=self._world.is_guarded(environment),
            pod=self._world.pods.get(session.name),
            volume=self._world.volumes.get(session.name),
            refusal=refusals[-1] if refusals else None,
        )

    async def _carry_out(self, session: SessionView, actions: Actions) -> bool:
        """Whether it went as planned, or as the next plan will know."""
        if not await self._create(session, actions):
            return True
        for deletion in actions.delete:
            if not await self._executor.delete(deletion):
                return False
            if deletion.resource is CODE_SESSIONS:
                await self._ended(session, actions)
        return True

    async def _create(self, session: SessionView, actions: Actions) -> bool:
        """Whether the API server would have it all."""
        starts = any(obj["kind"] == PODS.kind for obj in actions.create)
        if starts and not self._lines.is_turn_of(session):
            self._refused(session, "others have waited for room for longer", quota=True)
            return False
        try:
            for obj in actions.create:
                await self._executor.create(obj)
        except RefusedError as error:
            self._refused(session, str(error), quota=error.quota)
            return False
        if starts:
            self._leave_line(session.name)
        return True

    async def _ended(self, session: SessionView, actions: Actions) -> None:
        if actions.notice is not None:
            await self._executor.tell(session, actions.notice)
            if actions.notice.reason == SessionReason.POD_FAILED:
                self._pool_failed(session.environment)

    async def _report(self, session: SessionView, actions: Actions) -> None:
        if actions.status is not None:
            await self._executor.write_status(CODE_SESSIONS, session, actions.status)
        if actions.notice is not None:
            await self._executor.tell(session, actions.notice)

    def _refused(self, session: SessionView, message: str, *, quota: bool) -> None:
        refusals = self._refusals.setdefault(session.name, [])
        wait = _REFUSED_SECONDS[min(len(refusals), len(_REFUSED_SECONDS) - 1)]
        reason = SessionReason.POD_PENDING
        if quota:
            self._lines.join(session)
            wait = _QUOTA_SECONDS if self._lines.is_turn_of(session) else _QUEUEING_SECONDS
            reason = SessionReason.QUOTA_EXCEEDED
        refusals.append(Refusal(reason, message, self._clock() + timedelta(seconds=wait)))
        del refusals[: -len(_REFUSED_SECONDS)]

    def _makes_room(self, name: str) -> None:
        """It waits for no room: whoever comes next may, now and when its pod is gone."""
        waited = name in self._lines
        self._leave_line(name)
        if not waited and self._world.pods.get(name) is None:
            self._call_next()

    def _leave_line(self, name: str) -> None:
        self._refusals.pop(name, None)
        if name in self._lines:
            self._lines.leave(name)
            self._call_next()

    def _call_next(self) -> None:
        """Those who are first ask again at once."""
        for head in self._lines.heads():
            self._refusals.pop(head, None)
            self._world.wake(session_key(head))
