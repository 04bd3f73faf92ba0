"""Comparing the caches with the API server now and then.

A watch of kopf's that is listed anew does not tell what was deleted meanwhile (it keeps no cache to know it
from). A watch that died tells nothing at all. Lists of bare metadata find both, without a write.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping

from codesession_crds import labels
from codesession_crds.client import METADATA_ONLY, KubeClient
from codesession_crds.errors import KubeError
from codesession_crds.paths import (
    CODE_ENVIRONMENTS,
    CODE_SESSIONS,
    NETWORK_POLICIES,
    PODS,
    VOLUME_CLAIMS,
    Resource,
)
from codesession_crds.retry import Backoff
from codesession_operator.world import World

logger = logging.getLogger(__name__)

SELECTORS: Mapping[Resource, str | None] = {
    CODE_ENVIRONMENTS: None,
    CODE_SESSIONS: None,
    PODS: labels.SANDBOX_SELECTOR,
    VOLUME_CLAIMS: labels.SANDBOX_SELECTOR,
    NETWORK_POLICIES: labels.POLICY_SELECTOR,
}
"""What is watched, and by which labels."""

_POLL_SECONDS = 0.1
_SYNC_SECONDS = 3.0
_BACKOFF = Backoff(base=0.5, cap=10.0)

Versions = dict[tuple[Resource, str], str]


class Audit:
    """`healthy` turns false while a cache is behind the API server by more than the grace."""

    def __init__(
        self, client: KubeClient, world: World, namespace: str, *, interval: float, grace: float
    ) -> None:
        """`interval` and `grace` in seconds."""
        self._client = client
        self._world = world
        self._namespace = namespace
        self._interval = interval
        self._grace = grace
        self._behind = False
        self._last = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the caches were compared."""
        return time.monotonic() - self._last

    @property
    def healthy(self) -> bool:
        overdue = self.age > 3 * (self._interval + self._grace) + 60
        return not self._behind and not overdue

    async def reachable(self) -> None:
        """Returns once everything that is to be watched can be listed: after the CRDs are installed."""
        attempt = 0
        while True:
            try:
                for resource in SELECTORS:
                    await self._client.request("GET", resource.path(self._namespace), query={"limit": "1"})
                return
            except KubeError as error:
                logger.warning("waiting for the API server: %s", error)
                await asyncio.sleep(_BACKOFF.delay(attempt))
                attempt += 1

    async def synced(self, resources: Collection[Resource]) -> None:
        """Returns once the caches know everything that there is of these kinds."""
        while not await self._settled(resources):
            logger.info("waiting for watches to tell what there is")
        self._last = time.monotonic()

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.compare()
            except KubeError as error:
                logger.warning("audit not finished: %s", error)

    async def compare(self) -> None:
        """Forget what is gone; see whether the caches hear of the rest within the grace."""
        before = {resource: self._world.kinds[resource].cache.all() for resource in SELECTORS}
        listed = await self._listed(SELECTORS)
        for resource, known in before.items():
            self._world.forget(resource, known, {name for kind, name in listed if kind == resource})
        late = await self._late(listed, self._grace)
        if late:  # unless it was deleted before anybody heard of it
            now = await self._listed(SELECTORS)
            late = self._unheard({key: version for key, version in late.items() if key in now})
        if late:
            logger.error("watches are behind by %d objects", len(late))
        self._behind, self._last = bool(late), time.monotonic()

    async def _settled(self, resources: Collection[Resource]) -> bool:
        try:
            return not await self._late(await self._listed(resources), _SYNC_SECONDS)
        except KubeError as error:
            logger.warning("cannot list: %s", error)
            await asyncio.sleep(_SYNC_SECONDS)
            return False

    async def _late(self, listed: Versions, within: float) -> Versions:
        """What of it the caches do not come to know, at that version or a later one, in so many seconds."""
        deadline = time.monotonic() + within
        while listed := self._unheard(listed):
            if time.monotonic() >= deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)
        return listed

    def _unheard(self, listed: Versions) -> Versions:
        kinds = self._world.kinds
        return {
            (resource, name): version
            for (resource, name), version in listed.items()
            if not kinds[resource].cache.knows(name, version)
        }

    async def _listed(self, resources: Collection[Resource]) -> Versions:
        found: Versions = {}
        for resource in resources:
            selector = SELECTORS[resource]
            query = {} if selector is None else {"labelSelector": selector}
            path = resource.path(self._namespace)
            async for page, _ in self._client.pages(path, query=query, accept=METADATA_ONLY):
                for item in page:
                    found[resource, item["metadata"]["name"]] = item["metadata"]["resourceVersion"]
        return found
