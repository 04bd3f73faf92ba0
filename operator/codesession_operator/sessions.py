"""Reconciling one session: plan, act, and plan again until there is nothing left to do now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from codesession_crds.conditions import SessionReason
from codesession_crds.paths import CODE_SESSIONS
from codesession_crds.session import CodeSession
from codesession_operator.actions import Actions
from codesession_operator.clock import Clock
from codesession_operator.executor import Executor, RefusedError
from codesession_operator.plan import Observed, Refusal, plan
from codesession_operator.world import World

_PASSES = 6
_CONFLICT_SECONDS = 1.0
_REFUSED_SECONDS = (5.0, 10.0, 20.0, 40.0)


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
        self._refusals: dict[str, list[Refusal]] = {}

    async def reconcile(self, name: str) -> float | None:
        """Seconds after which to come back, if ever."""
        for _ in range(_PASSES):
            session = self._world.sessions.get(name)
            if session is None:
                self._refusals.pop(name, None)
                return None
            actions = plan(self._observed(session), self._clock(), self._max_restarts)
            if not actions.changes_objects:
                await self._report(session, actions)
                return actions.requeue_after
            if not await self._carry_out(session, actions):
                break
        return _CONFLICT_SECONDS

    def _observed(self, session: CodeSession) -> Observed:
        environment = self._world.environments.get(session.spec.environment_ref.name)
        refusals = self._refusals.get(session.name)
        return Observed(
            session=session,
            environment=environment,
            guarded=self._world.is_guarded(environment),
            pod=self._world.pods.get(session.name),
            volume=self._world.volumes.get(session.name),
            refusal=refusals[-1] if refusals else None,
        )

    async def _carry_out(self, session: CodeSession, actions: Actions) -> bool:
        """Whether it went as planned, or as the next plan will know."""
        try:
            for obj in actions.create:
                await self._executor.create(obj)
        except RefusedError as error:
            self._refused(session.name, error)
            return True
        for deletion in actions.delete:
            if not await self._executor.delete(deletion):
                return False
            if deletion.resource is CODE_SESSIONS:
                await self._ended(session, actions)
        return True

    async def _ended(self, session: CodeSession, actions: Actions) -> None:
        if actions.notice is not None:
            await self._executor.tell(session, actions.notice)
            if actions.notice.reason == SessionReason.POD_FAILED:
                self._pool_failed(session.spec.environment_ref.name)

    async def _report(self, session: CodeSession, actions: Actions) -> None:
        if actions.status is not None:
            await self._executor.write_status(CODE_SESSIONS, session, actions.status)
        if actions.notice is not None:
            await self._executor.tell(session, actions.notice)

    def _refused(self, name: str, error: RefusedError) -> None:
        refusals = self._refusals.setdefault(name, [])
        wait = _REFUSED_SECONDS[min(len(refusals), len(_REFUSED_SECONDS) - 1)]
        reason = SessionReason.QUOTA_EXCEEDED if error.quota else SessionReason.POD_PENDING
        refusals.append(Refusal(reason, str(error), self._clock() + timedelta(seconds=wait)))
        del refusals[: -len(_REFUSED_SECONDS)]
