"""Reconciling what bounds the namespace as a whole.

A quota that is made right after the definitions counts no sessions yet: the API server's quota controller
learns of new kinds every 30 seconds, but looks at old quotas only every five minutes. Until it does, every
session is refused ("status unknown for quota"), so a quota that stays uncounted is brought to its notice.
"""

from __future__ import annotations

from collections.abc import Mapping

from codesession_crds.paths import RESOURCE_QUOTAS
from codesession_operator.actions import Object
from codesession_operator.builders.limits import namespace_limits
from codesession_operator.executor import Executor, RefusedError
from codesession_operator.world import World, environment_key

UNCOUNTED_SECONDS = 10.0
_NUDGE = {"count/replicationcontrollers": "0"}


class NamespaceReconciler:
    """Quota and limit range follow from all environments together."""

    def __init__(self, world: World, executor: Executor, quota: Mapping[str, str]) -> None:
        self._world = world
        self._executor = executor
        self._quota = quota
        self._applied: list[Object] | None = None
        self._uncounted = False
        """Whether the quota was not counted yet when it was last seen."""
        self.refusal: str | None = None
        """Why the API server will not have them, if it will not."""

    def is_settled(self) -> bool:
        """Whether what the environments want now is what was applied."""
        return self._applied == self._wanted()

    async def reconcile(self, _: str) -> float | None:
        """Apply what is wanted; in how many seconds to look again. Raises RefusedError, so that it is tried
        again."""
        wanted = self._wanted()
        if self._applied == wanted and not self._uncounted:
            return None
        try:
            there = [await self._executor.apply(obj) for obj in wanted]
        except RefusedError as error:
            self.refusal = str(error)
            raise
        else:
            self._applied, self.refusal = wanted, None
        finally:
            self._wake_environments()
        return await self._look_at(next((obj for obj in there if obj["kind"] == RESOURCE_QUOTAS.kind), None))

    async def _look_at(self, quota: Object | None) -> float | None:
        if quota is None or quota["spec"]["hard"].keys() <= quota.get("status", {}).get("used", {}).keys():
            self._uncounted = False
            return None
        if self._uncounted:
            # A quota is looked at again when its limits change.
            for hard in (quota["spec"]["hard"] | _NUDGE, quota["spec"]["hard"]):
                await self._executor.apply(_with_limits(quota, hard))
        self._uncounted = True
        return UNCOUNTED_SECONDS

    def _wake_environments(self) -> None:
        for environment in self._world.environments.all():
            self._world.wake(environment_key(environment.name))

    def _wanted(self) -> list[Object]:
        return namespace_limits(
            [one for one in self._world.environments.all() if not one.deleting], self._quota
        )


def _with_limits(quota: Object, hard: Mapping[str, str]) -> Object:
    """The quota as it is to be applied, with other limits."""
    kept = ("name", "namespace", "labels", "ownerReferences")
    metadata = {key: value for key, value in quota["metadata"].items() if key in kept}
    return {"apiVersion": "v1", "kind": quota["kind"], "metadata": metadata, "spec": {"hard": dict(hard)}}
