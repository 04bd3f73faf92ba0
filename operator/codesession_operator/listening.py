"""Watching what there are thousands of: sessions, and what is made for each.

Not through kopf: it gives every object a task, a queue and a memory of its own and every event a dozen
wrappers, which was most of the operator's work (docs/scale.md).
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from codesession_crds.client import KubeClient
from codesession_crds.paths import CODE_SESSIONS, PODS, VOLUME_CLAIMS, Resource
from codesession_operator.audit import SELECTORS
from codesession_operator.world import World

MANY = (CODE_SESSIONS, PODS, VOLUME_CLAIMS)
_PAGE = 100
"""Parsed, a pod is 30 KB: what a page takes at start is not given back to the system."""


async def listen(
    client: KubeClient,
    world: World,
    resource: Resource,
    namespace: str,
    *,
    inactivity: float,
    listed: asyncio.Event,
) -> None:
    """For ever: let the world hear of every object of that kind; `listed` is set once it knows all that there
    were. Raises ApiStatusError for what waiting does not cure.

    A stream that is silent for `inactivity` seconds is opened anew.
    """
    selector, path = SELECTORS[resource], resource.path(namespace)
    query = {} if selector is None else {"labelSelector": selector}
    listing = partial(_list, client, world, resource, path, query)
    async for event in client.watch(path, query=query, inactivity=inactivity, listing=listing):
        world.last_heard[resource] = time.monotonic()
        if event.type == "DELETED":
            metadata = event.object["metadata"]
            world.gone(resource, metadata["name"], metadata["uid"])
        elif event.type == "LISTED":
            listed.set()
        else:
            world.heard(resource, event.object)


async def _list(
    client: KubeClient, world: World, resource: Resource, path: str, query: dict[str, str]
) -> tuple[list[Any], str]:
    """Page by page, so that never all objects are in memory; nothing is left for the watch to tell."""
    before, listed, listed_at = world.kinds[resource].cache.all(), set(), ""
    async for page, version in client.pages(path, query={**query, "limit": str(_PAGE)}):
        listed_at = version
        for obj in page:
            world.heard(resource, obj)
            listed.add(obj["metadata"]["name"])
    world.forget(resource, before, listed)
    return [], listed_at
