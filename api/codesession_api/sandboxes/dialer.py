"""Streams into pods: one per pod and replica, opened when first needed or ahead of a claim, then kept.

A pod is known by its UID, compared at every dial: a pod of the same name that took another's place is another
sandbox, without the state that its session had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from codesession_api import metrics
from codesession_api.errors import SandboxLost
from codesession_api.sandboxes.connection import Connection, ConnectionLost
from codesession_api.sandboxes.exec_stream import CONTAINER, open_exec
from codesession_api.sandboxes.transport import TransportError
from codesession_crds.client import KubeClient
from codesession_crds.errors import ApiStatusError, KubeError
from codesession_crds.paths import PODS

DIAL_SECONDS = 15.0
DIALS_AT_ONCE = 8
IDLE_SECONDS = 300.0
_GONE_KNOWN = 1024


@dataclass(frozen=True, slots=True)
class PodRef:
    """One life of a session's pod."""

    name: str
    uid: str


class Dialer:
    def __init__(
        self, client: KubeClient, namespace: str, *, at_once: int = DIALS_AT_ONCE, idle: float = IDLE_SECONDS
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._idle = idle
        self._slots = asyncio.Semaphore(at_once)
        self._held: dict[PodRef, Connection] = {}
        self._dials: dict[PodRef, asyncio.Task[Connection]] = {}
        self._gone: dict[PodRef, None] = {}
        self._loop = asyncio.get_running_loop()

    def holds(self, pod: PodRef) -> bool:
        connection = self._held.get(pod)
        return connection is not None and connection.lost is None

    def gone(self, pod: PodRef) -> bool:
        """Whether a dial found this life of the pod ended, perhaps before its session's status says so."""
        return pod in self._gone

    async def connect(self, pod: PodRef) -> Connection:
        """The stream that is held, or a new one; all who ask at one time share one dial. Raises
        ConnectionLost when there is no getting through now, SandboxLost when the pod is gone."""
        connection = self._held.get(pod)
        if connection is not None and connection.lost is None:
            return connection
        dial = self._dials.get(pod)
        if dial is None:
            dial = self._dials[pod] = self._loop.create_task(self._dial(pod))
            dial.add_done_callback(lambda done: self._dialled(pod, done))
        return await asyncio.shield(dial)

    async def close_idle(self, keep: Iterable[PodRef]) -> None:
        """Close what was not used for minutes, but for those to `keep`."""
        kept, latest = set(keep), self._loop.time() - self._idle
        unused = [
            pod
            for pod, connection in self._held.items()
            if connection.lost or not (pod in kept or connection.requests or connection.last_used >= latest)
        ]
        await asyncio.gather(*map(self.forget, unused))

    async def forget(self, pod: PodRef) -> None:
        """Close the stream to a pod, if there is one."""
        connection = self._held.pop(pod, None)
        metrics.STREAMS.set(len(self._held))
        if connection:
            await connection.aclose()

    async def aclose(self) -> None:
        for dial in self._dials.values():
            dial.cancel()
        if self._dials:
            await asyncio.wait(self._dials.values())
        await asyncio.gather(*map(self.forget, list(self._held)))

    def _dialled(self, pod: PodRef, dial: asyncio.Task[Connection]) -> None:
        del self._dials[pod]
        if dial.cancelled():
            return
        if isinstance(dial.exception(), SandboxLost):
            self._gone[pod] = None
            if len(self._gone) > _GONE_KNOWN:
                del self._gone[next(iter(self._gone))]
        elif dial.exception() is None:
            self._held[pod] = dial.result()
            metrics.STREAMS.set(len(self._held))

    async def _dial(self, pod: PodRef) -> Connection:
        try:
            async with self._slots, asyncio.timeout(DIAL_SECONDS):
                check_pod(await self._client.get(PODS.path(self._namespace, pod.name)), pod.uid)
                stream = await open_exec(self._client, self._namespace, pod.name)
                return await Connection.open(stream, timeout=DIAL_SECONDS)
        except ApiStatusError as error:
            if error.not_found:
                raise SandboxLost("the session's pod is gone") from error
            raise ConnectionLost(f"the API server refused: {error}") from error
        except (KubeError, TransportError) as error:
            raise ConnectionLost(str(error)) from error
        except TimeoutError:
            raise ConnectionLost(f"no connection within {DIAL_SECONDS:g} s") from None


def check_pod(pod: dict[str, Any], uid: str) -> None:
    """Raise SandboxLost unless it is the pod of that UID and can serve, ConnectionLost if it cannot yet."""
    if pod["metadata"]["uid"] != uid:
        raise SandboxLost("the session's pod was replaced: what its processes held is gone")
    if "deletionTimestamp" in pod["metadata"]:
        raise SandboxLost("the session's pod is being deleted")
    status = pod.get("status", {})
    if status.get("phase") in ("Failed", "Succeeded"):
        raise SandboxLost(f"the session's pod ended: {status.get('reason') or status['phase']}")
    states = {entry["name"]: entry for entry in status.get("containerStatuses", [])}
    if "running" not in states.get(CONTAINER, {}).get("state", {}):
        raise ConnectionLost("the session's container is not running")
