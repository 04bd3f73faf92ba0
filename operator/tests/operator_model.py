"""An operator over the API model: real world and reconcilers, with watches and time in the test's hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from codesession_crds.model import rfc3339
from codesession_crds.paths import CODE_ENVIRONMENTS, CODE_SESSIONS
from codesession_operator.environments import EnvironmentReconciler
from codesession_operator.executor import Executor
from codesession_operator.namespace import NamespaceReconciler
from codesession_operator.sessions import SessionReconciler
from codesession_operator.settings import OperatorSettings
from codesession_operator.workqueue import Key
from codesession_operator.world import World
from tests.api_model import NAMESPACE, ApiModel

Object = dict[str, Any]


class OperatorModel:
    def __init__(self, api: ApiModel, skew: float = 0, **settings: Any) -> None:
        """`skew` is how many seconds its clock is ahead of all others."""
        self.api = api
        self.skew = timedelta(seconds=skew)
        self.settings = OperatorSettings(
            namespace=NAMESPACE, **{"max_restarts": 10_000, "status_seconds": 0} | settings
        )
        self.restart()

    def restart(self) -> None:
        """A new process: nothing is remembered, everything is listed."""
        self.woken: dict[Key, None] = {}
        self.later: dict[Key, float] = {}
        self.world = World(lambda key: self.woken.setdefault(key))
        client: Any = self.api
        executor = Executor(client, self.world, NAMESPACE, lambda: self.api.now + self.skew)
        namespace = NamespaceReconciler(self.world, executor, self.settings.quota)
        clock = executor._clock
        environments = EnvironmentReconciler(self.world, executor, namespace, clock, self.settings)
        sessions = SessionReconciler(
            self.world, executor, clock, self.settings.max_restarts, environments.pool_failed
        )
        self.reconcilers: dict[str, Any] = {
            "namespace": namespace.reconcile,
            "environment": environments.reconcile,
            "session": sessions.reconcile,
        }
        self.api.untold.clear()
        for resource in self.world.kinds:
            for obj in self.api.of(resource.plural):
                self.world.heard(resource, obj)

    def hear(self, count: int | None = None) -> None:
        """The next watch events arrive."""
        for kind, resource, obj in self.api.told(count):
            if kind == "DELETED":
                self.world.gone(resource, obj["metadata"]["name"], obj["metadata"]["uid"])
            else:
                self.world.heard(resource, obj)

    async def work(self, most: int = 10_000) -> None:
        """Reconcile what is woken, in order."""
        for _ in range(most):
            if not self.woken:
                return
            key = next(iter(self.woken))
            del self.woken[key]
            again_after = await self.reconcilers[key.kind](key.name)
            self.later.pop(key, None)
            if again_after is not None:
                self.later[key] = again_after

    def passes(self, seconds: float) -> None:
        """Time goes by, and wakes whom it should."""
        self.api.passes(seconds)
        for key, left in list(self.later.items()):
            self.later[key] = left - seconds
            if self.later[key] <= 0:
                del self.later[key]
                self.woken.setdefault(key)

    async def settle(self, rounds: int = 60) -> None:
        """The cluster does its part, watches tell, time passes: until nothing is left to do."""
        for _ in range(rounds):
            self.api.collect_garbage()
            self.api.kubelet_stops()
            self.api.kubelet_starts()
            self.hear()
            await self.work()
            self.passes(5)
            if not self.api.untold and not self.woken and min(self.later.values(), default=1e9) > 600:
                return

    def environment(self, *, replicas: int = 0, **spec: Any) -> Object:
        metadata = {"name": "default", "namespace": NAMESPACE}
        whole = {"image": "i:1", "warmPool": {"replicas": replicas, "maxRefillPerMinute": 1000}, **spec}
        return self.api.put(_kind(CODE_ENVIRONMENTS, metadata, whole))

    def session(self, name: str = "s" * 21, *, seconds: float = 80_000) -> Object:
        """A claimed one."""

        claim = {"tenant": "a" * 32, "principal": "b" * 32, "claimedAt": rfc3339(self.api.now)}
        spec = {
            "environmentRef": {"name": "default"},
            "claim": claim,
            "shutdownTime": rfc3339(self.api.now + timedelta(seconds=seconds)),
        }
        return self.api.put(_kind(CODE_SESSIONS, {"name": name, "namespace": NAMESPACE}, spec))

    def change(self, plural: str, name: str, **spec: Any) -> None:
        """Somebody edits the object's spec."""
        obj = self.api.objects[plural, name]
        self.api.put({**obj, "spec": {**obj["spec"], **spec}})


def _kind(resource: Any, metadata: Object, spec: Object) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec}
