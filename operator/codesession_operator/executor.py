"""Carries out what was planned, and lets the world hear the answers at once, before watches tell them."""

from __future__ import annotations

import logging
from typing import Any

from codesession_crds.client import KubeClient
from codesession_crds.environment import CodeEnvironment
from codesession_crds.errors import ApiStatusError, KubeError
from codesession_crds.model import API_VERSION, rfc3339
from codesession_crds.names import new_id
from codesession_crds.paths import EVENTS, Resource, resource_of
from codesession_operator.actions import Deletion, Notice
from codesession_operator.clock import Clock
from codesession_operator.views import SessionView
from codesession_operator.world import World

logger = logging.getLogger(__name__)

Object = dict[str, Any]

FIELD_MANAGER = "codesession-operator"
_REFUSALS = (400, 403, 422)


class RefusedError(Exception):
    """The API server will not have that object, now or ever: by quota, admission or schema."""

    def __init__(self, error: ApiStatusError) -> None:
        super().__init__(error.message)
        self.quota = error.status == 403 and "exceeded quota" in error.message


class Executor:
    """Every write is safe to repeat: names are known beforehand, deletions name a UID."""

    def __init__(self, client: KubeClient, world: World, namespace: str, clock: Clock) -> None:
        self._client = client
        self._world = world
        self._namespace = namespace
        self._clock = clock

    async def create(self, obj: Object) -> None:
        """Pods and volume claims are created, not applied: an apply could change the image of a running pod.
        Raises RefusedError."""
        resource, name = resource_of(obj), obj["metadata"]["name"]
        path = resource.path(self._namespace)
        try:
            answer = await self._client.create(path, obj, field_manager=FIELD_MANAGER, idempotent=True)
        except ApiStatusError as error:
            if error.reason == "AlreadyExists":
                answer = await self._client.get(resource.path(self._namespace, name))
            elif error.status in _REFUSALS:
                raise RefusedError(error) from error
            else:
                raise
        self._world.heard(resource, answer)

    async def apply(self, obj: Object) -> Object:
        """Raises RefusedError."""
        try:
            return await self._client.apply(obj, field_manager=FIELD_MANAGER)
        except ApiStatusError as error:
            if error.status in _REFUSALS:
                raise RefusedError(error) from error
            raise

    async def delete(self, deletion: Deletion) -> bool:
        """Whether it is deleted; not if it is another, or has changed since it was seen."""
        resource = deletion.resource
        path = resource.path(self._namespace, deletion.name)
        try:
            answer = await self._client.delete(
                path,
                uid=deletion.uid,
                resource_version=deletion.version,
                grace_seconds=0 if deletion.force else None,
            )
        except ApiStatusError as error:
            if error.conflict:
                return False
            if not error.not_found:
                raise
            answer = {}
        if answer.get("kind") == resource.kind and not deletion.force:
            self._world.heard(resource, answer)
        else:
            self._world.gone(resource, deletion.name, deletion.uid)
        return True

    async def is_there(self, resource: Resource, name: str) -> bool:
        """Asks the API server; what it answers is news for the world."""
        try:
            answer = await self._client.get(resource.path(self._namespace, name))
        except ApiStatusError as error:
            if error.not_found:
                return False
            raise
        self._world.heard(resource, answer)
        return True

    async def write_status(
        self, resource: Resource, of: SessionView | CodeEnvironment, status: Object
    ) -> None:
        """Nobody else writes it, so a merge patch says all; None removes a field. Not into another object of
        that name."""
        path = resource.path(self._namespace, of.name, "status")
        patch = {"metadata": {"uid": of.uid}, "status": status}
        try:
            answer = await self._client.merge_patch(path, patch, idempotent=True)
        except ApiStatusError as error:
            if error.not_found or error.conflict:
                return
            raise
        self._world.heard(resource, answer)

    async def tell(self, about: SessionView | CodeEnvironment, notice: Notice) -> None:
        """A Kubernetes Event; if it cannot be written, work goes on without."""
        now = rfc3339(self._clock())
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{about.name}.{new_id()}", "namespace": self._namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": about.kind,
                "namespace": self._namespace,
                "name": about.name,
                "uid": about.uid,
            },
            "type": "Warning" if notice.warning else "Normal",
            "reason": notice.reason,
            "message": notice.message,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": FIELD_MANAGER},
        }
        try:
            await self._client.create(EVENTS.path(self._namespace), event, field_manager=FIELD_MANAGER)
        except KubeError as error:
            logger.warning("event %s about %s not written: %s", notice.reason, about.name, error)
