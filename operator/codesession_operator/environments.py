"""Reconciling one environment: first what guards its sandboxes, then its warm pool, then its status."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from codesession_crds import labels
from codesession_crds.conditions import EnvironmentReason
from codesession_crds.environment import CodeEnvironment
from codesession_crds.model import API_VERSION
from codesession_crds.names import new_id
from codesession_crds.paths import CODE_ENVIRONMENTS, CODE_SESSIONS, NETWORK_POLICIES
from codesession_operator.actions import Deletion, Notice, Object
from codesession_operator.builders.network import EVERYTHING, is_same, left_open, network_policy
from codesession_operator.builders.pod import template
from codesession_operator.clock import Clock
from codesession_operator.environment_status import Verdict, environment_status, says_more_than_counts
from codesession_operator.executor import Executor, RefusedError
from codesession_operator.namespace import NamespaceReconciler
from codesession_operator.plan import soonest
from codesession_operator.pool import Refill, Waiting, plan_pool
from codesession_operator.settings import OperatorSettings
from codesession_operator.views import PolicyView
from codesession_operator.world import World

_REFUSED_SECONDS = 15.0


class EnvironmentReconciler:
    def __init__(
        self,
        world: World,
        executor: Executor,
        namespace: NamespaceReconciler,
        clock: Clock,
        settings: OperatorSettings,
    ) -> None:
        self._world = world
        self._executor = executor
        self._namespace = namespace
        self._clock = clock
        self._settings = settings
        self._refills: defaultdict[str, Refill] = defaultdict(Refill)
        self._reported: dict[str, datetime] = {}

    async def reconcile(self, name: str) -> float | None:
        """Seconds after which to come back, if ever."""
        environment = self._world.environments.get(name)
        if environment is None or environment.deleting:
            return None
        verdict = await self._guard(environment)
        refill_in = None
        if verdict[0] is EnvironmentReason.READY:
            verdict, refill_in = await self._fill(environment)
        report_in = await self._report(environment, verdict)
        refused_in = _REFUSED_SECONDS if verdict[0] is EnvironmentReason.REFUSED else None
        return soonest(refill_in, report_in, refused_in)

    def pool_failed(self, name: str) -> None:
        """One of its unclaimed sessions failed."""
        self._refills[name].note_failed(self._clock())

    async def _guard(self, environment: CodeEnvironment) -> Verdict:
        settings = self._settings
        address = left_open(environment, settings.denied_cidrs, settings.cluster_addresses)
        wanted = network_policy(environment, settings.denied_cidrs if address is None else EVERYTHING)
        try:
            in_place = await self._has_policy(environment, wanted)
        except RefusedError as error:
            return EnvironmentReason.REFUSED, str(error)
        if not in_place:
            return EnvironmentReason.POLICY_PENDING, "its network policy is not in place"
        if address is not None:
            return EnvironmentReason.REFUSED, f"an allow list needs denied networks that hold {address}, too"
        if self._namespace.refusal is not None:
            return EnvironmentReason.REFUSED, self._namespace.refusal
        if not self._namespace.is_settled():
            return EnvironmentReason.LIMITS_PENDING, "the namespace's limits are not in place"
        if not self._world.is_guarded(environment):
            self._world.guarded[environment.name] = environment.metadata.generation
            self._world.wake_sessions(environment.name)
        return EnvironmentReason.READY, ""

    async def _has_policy(self, environment: CodeEnvironment, wanted: Object) -> bool:
        """Whether the cluster has exactly that policy: one that allows more has been tampered with."""
        name = wanted["metadata"]["name"]
        seen = self._world.policies.get(name)
        if seen is None or not _holds(seen, wanted, environment):
            self._world.heard(NETWORK_POLICIES, await self._executor.apply(wanted))
            seen = self._world.policies.get(name)
        return seen is not None and _holds(seen, wanted, environment)

    async def _fill(self, environment: CodeEnvironment) -> tuple[Verdict, float | None]:
        refill, per_minute = self._refills[environment.name], environment.spec.warm_pool.max_refill_per_minute
        waiting = self._waiting(environment)
        for one in waiting:
            if one.ready and one.session.created_at is not None:
                refill.note_ready(one.session.created_at)
        refill.note_missing(environment.spec.warm_pool.replicas - len(waiting), self._clock())
        allowance = refill.allowance(per_minute, self._clock())
        yields = self._world.sessions.cramped(environment.name)
        pool = plan_pool(environment, waiting, allowance, yields=yields)
        for session in pool.delete:
            await self._executor.delete(Deletion(CODE_SESSIONS, session.name, session.uid, session.version))
        try:
            for _ in range(pool.create):
                await self._executor.create(self._unclaimed(environment))
                refill.note_created(self._clock())
        except RefusedError as error:
            return (EnvironmentReason.REFUSED, str(error)), None
        return (EnvironmentReason.READY, ""), refill.wait(per_minute, self._clock())

    def _waiting(self, environment: CodeEnvironment) -> list[Waiting]:
        sessions, found = self._world.sessions.warm(environment.name), []
        current = template(environment) if sessions else ""
        for session in sessions:
            pod = self._world.pods.get(session.name)
            stale = pod is not None and pod.template != current
            found.append(Waiting(session, session.is_ready, stale=stale))
        return found

    def _unclaimed(self, environment: CodeEnvironment) -> Object:
        return {
            "apiVersion": API_VERSION,
            "kind": "CodeSession",
            "metadata": {
                "name": new_id(),
                "namespace": environment.metadata.namespace,
                "labels": {
                    labels.MANAGED_BY: labels.MANAGER,
                    labels.ENVIRONMENT: environment.name,
                },
            },
            "spec": {
                "environmentRef": {"name": environment.name},
                "maxLifetimeSeconds": environment.spec.session.absolute_seconds,
            },
        }

    async def _report(self, environment: CodeEnvironment, verdict: Verdict) -> float | None:
        """Write what changed: a condition at once, counts every few seconds; seconds until they may."""
        now = self._clock()
        warm = sum(one.ready for one in self._waiting(environment))
        claimed = self._world.sessions.claimed(environment.name)
        status = environment_status(environment, verdict, warm, claimed, now)
        if status == environment.status or _passes_by_itself(environment, verdict):
            return None
        news = says_more_than_counts(environment.status, status)
        pause = self._pause(environment.name, now)
        if not news and pause > 0:
            return pause
        self._reported[environment.name] = now
        await self._executor.write_status(CODE_ENVIRONMENTS, environment, status.to_json())
        if news and verdict[0] is EnvironmentReason.REFUSED:
            await self._executor.tell(environment, Notice(*verdict))
        return None

    def _pause(self, name: str, now: datetime) -> float:
        last = self._reported.get(name)
        if last is None:
            return 0.0
        return (last + timedelta(seconds=self._settings.status_seconds) - now).total_seconds()


def _holds(policy: PolicyView, wanted: Object, environment: CodeEnvironment) -> bool:
    return not policy.deleting and policy.owner == environment.uid and is_same(policy.spec, wanted["spec"])


def _passes_by_itself(environment: CodeEnvironment, verdict: Verdict) -> bool:
    """A new process puts guards in place once more: no reason to call an environment unready for a moment."""
    old, generation = environment.ready, environment.metadata.generation
    pending = verdict[0] in (EnvironmentReason.POLICY_PENDING, EnvironmentReason.LIMITS_PENDING)
    return pending and old is not None and (old.status, old.observed_generation) == ("True", generation)
