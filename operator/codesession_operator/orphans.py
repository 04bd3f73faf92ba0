"""Pods and volumes whose session is gone.

The cluster's garbage collector takes them away by their owner. It does not where somebody deleted a session
without its children, and a pod on a node that is gone never confirms its own end.
"""

from __future__ import annotations

from datetime import datetime

from codesession_crds.paths import CODE_SESSIONS, PODS, VOLUME_CLAIMS
from codesession_operator.actions import Deletion
from codesession_operator.clock import Clock
from codesession_operator.executor import Executor
from codesession_operator.plan import seconds_until_forced, soonest
from codesession_operator.world import World

COLLECTOR_SECONDS = 30.0
"""What the garbage collector is given."""


class Orphans:
    def __init__(self, world: World, executor: Executor, clock: Clock) -> None:
        self._world = world
        self._executor = executor
        self._clock = clock
        self._since: dict[str, datetime] = {}

    async def reconcile(self, name: str) -> float | None:
        """Seconds after which to come back, if ever. To be called when no session of that name is known."""
        pod, volume = self._world.pods.get(name), self._world.volumes.get(name)
        if pod is None and volume is None:
            self._since.pop(name, None)
            return None
        now = self._clock()
        known_for = (now - self._since.setdefault(name, now)).total_seconds()
        if known_for < COLLECTOR_SECONDS:
            return COLLECTOR_SECONDS - known_for
        # A watch that is late would make orphans of everything.
        if await self._executor.is_there(CODE_SESSIONS, name):
            return COLLECTOR_SECONDS
        for resource, child in ((PODS, pod), (VOLUME_CLAIMS, volume)):
            if child is not None and not child.deleting:
                await self._executor.delete(Deletion(resource, name, child.uid))
        if pod is None:
            return None
        wait = seconds_until_forced(pod, now)
        if wait is not None and wait <= 0:
            await self._executor.delete(Deletion(PODS, name, pod.uid, force=True))
        return soonest(COLLECTOR_SECONDS, wait if wait is None or wait > 0 else None)
