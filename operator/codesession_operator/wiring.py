"""kopf, used for what it is best at: logging in, watching, resuming, and dying when a watch cannot be kept.

Its handlers here only take down what they hear, of the kinds of which there are few: `listening` has the
others. Nothing of kopf's own state is used: no annotations, no finalizers, no indexes (start-up would grow
with the square of the objects), no Events for log lines.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import kopf

from codesession_crds.connection import Connection
from codesession_crds.paths import CODE_ENVIRONMENTS, NETWORK_POLICIES, Resource
from codesession_operator.audit import SELECTORS
from codesession_operator.world import World

FEW = (CODE_ENVIRONMENTS, NETWORK_POLICIES)
_EXIT_SECONDS = 20.0


async def watch(connection: Connection, world: World, namespace: str, *, inactivity: float) -> None:
    """Let the world hear of environments and their policies, until SIGTERM. Raises when a watch is lost.

    A stream that is silent for `inactivity` seconds is opened anew.
    """
    registry = kopf.OperatorRegistry()
    for resource in FEW:
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
    settings.scanning.disabled = True
    settings.watching.inactivity_timeout = inactivity
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    settings.process.ultimate_exiting_timeout = _EXIT_SECONDS
    settings.queueing.exit_timeout = 0.5
    for resource in FEW:
        if (selector := SELECTORS[resource]) is not None:
            settings.watching.label_selectors[resource.group, resource.version, resource.plural] = selector
    return settings
