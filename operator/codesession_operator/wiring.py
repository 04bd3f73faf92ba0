"""kopf, used for what it is best at: logging in, watching, resuming, and dying when a watch cannot be kept.

Its handlers here only take down what they hear. Nothing of kopf's own state is used: no annotations, no
finalizers, no indexes (start-up would grow with the square of the objects), no Events for log lines.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import kopf

from codesession_crds.connection import Connection
from codesession_crds.paths import Resource
from codesession_operator.audit import SELECTORS
from codesession_operator.forgetful import NoDiffBase, NoProgress
from codesession_operator.world import World

_PAGE = 500
_EXIT_SECONDS = 20.0


async def watch(connection: Connection, world: World, namespace: str, *, inactivity: float) -> None:
    """Let the world hear of everything in the namespace, until SIGTERM. Raises when a watch is lost.

    A stream that is silent for `inactivity` seconds is opened anew.
    """
    registry = kopf.OperatorRegistry()
    for resource in SELECTORS:
        _listen(registry, resource, world)
    kopf.on.login(registry=registry)(_login(connection))
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    await kopf.operator(
        registry=registry, settings=_settings(inactivity), namespaces=[namespace], standalone=True
    )


def _listen(registry: kopf.OperatorRegistry, resource: Resource, world: World) -> None:
    @kopf.on.event(resource.group, resource.version, resource.plural, id=resource.plural, registry=registry)
    async def hear(event: kopf.RawEvent, **_: Any) -> None:
        obj: Any = event["object"]
        world.last_heard[resource] = time.monotonic()
        if event["type"] == "DELETED":
            world.gone(resource, obj["metadata"]["name"], obj["metadata"]["uid"])
        else:
            world.heard(resource, obj)


def _login(connection: Connection) -> Any:
    async def login(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=connection.server, aiohttp_session=connection.session())

    return login


def _settings(inactivity: float) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    settings.scanning.disabled = True
    settings.watching.chunk_size = _PAGE
    settings.watching.inactivity_timeout = inactivity
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    settings.process.ultimate_exiting_timeout = _EXIT_SECONDS
    # kopf keeps a task per object for that long: tens of thousands at a start.
    settings.queueing.idle_timeout = 1.0
    settings.queueing.exit_timeout = 0.5
    for resource, selector in SELECTORS.items():
        if selector is not None:
            settings.watching.label_selectors[resource.group, resource.version, resource.plural] = selector
    return settings
