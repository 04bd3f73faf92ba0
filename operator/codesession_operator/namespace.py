"""Reconciling what bounds the namespace as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from codesession_operator.actions import Object
from codesession_operator.builders.limits import namespace_limits
from codesession_operator.executor import Executor, RefusedError
from codesession_operator.world import World, environment_key


class NamespaceReconciler:
    """Quota and limit range follow from all environments together."""

    def __init__(self, world: World, executor: Executor, quota: Mapping[str, str]) -> None:
        self._world = world
        self._executor = executor
        self._quota = quota
        self._applied: list[Object] | None = None
        self.refusal: str | None = None
        """Why the API server will not have them, if it will not."""

    def is_settled(self) -> bool:
        """Whether what the environments want now is what was applied."""
        return self._applied == self._wanted()

    async def reconcile(self, _: str) -> None:
        """Apply what is wanted. Raises RefusedError, so that it is tried again."""
        wanted = self._wanted()
        if self._applied == wanted:
            return
        try:
            for obj in wanted:
                await self._executor.apply(obj)
        except RefusedError as error:
            self.refusal = str(error)
            raise
        else:
            self._applied, self.refusal = wanted, None
        finally:
            self._wake_environments()

    def _wake_environments(self) -> None:
        for environment in self._world.environments.all():
            self._world.wake(environment_key(environment.name))

    def _wanted(self) -> list[Object]:
        return namespace_limits(
            [one for one in self._world.environments.all() if not one.deleting], self._quota
        )
