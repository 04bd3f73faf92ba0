"""Sessions as the API makes them where no warm one is left, and the moment at which each is Ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from codesession_crds.client import KubeClient
from codesession_crds.model import API_VERSION, rfc3339
from codesession_crds.names import new_id
from codesession_crds.paths import CODE_ENVIRONMENTS, CODE_SESSIONS
from e2e.scale.plane import SANDBOXES

MANAGER = "codesession-bench"
_AT_ONCE = 32
_STALL_SECONDS = 120.0

Object = dict[str, Any]


class Load:
    """`created` and `ready` are moments by session, in seconds of the monotonic clock."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._news = asyncio.Event()
        self.created: dict[str, float] = {}
        self.ready: dict[str, float] = {}

    async def watch(self) -> None:
        """For ever: note who is Ready."""
        async for event in self._client.watch(CODE_SESSIONS.path(SANDBOXES)):
            for session in event.items if event.type == "LISTED" else (event.object,):
                if session.get("status", {}).get("phase") == "Ready":
                    self.ready.setdefault(session["metadata"]["name"], time.monotonic())
                    self._news.set()

    async def grow(self, environment: str, count: int) -> list[str]:
        """Make so many more and wait until all are Ready; their names. Raises TimeoutError when none becomes
        Ready for two minutes."""
        names = [new_id() for _ in range(count)]

        async def make(name: str) -> None:
            self.created[name] = time.monotonic()
            body = session(name, environment)
            await self._client.create(CODE_SESSIONS.path(SANDBOXES), body, field_manager=MANAGER)

        await each(names, make)
        missing = set(names)
        while missing := missing - self.ready.keys():
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), _STALL_SECONDS)
        return names


async def each(names: Iterable[str], call: Callable[[str], Awaitable[None]]) -> None:
    """Call with every name, some at once."""
    waiting = iter(names)

    async def work() -> None:
        for name in waiting:
            await call(name)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(work())


async def make_volumes(client: KubeClient, count: int) -> None:
    """That many to be claimed."""

    async def make(name: str) -> None:
        spec = {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": f"/volumes/{name}"},
        }
        body = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
        await client.create("/api/v1/persistentvolumes", body, field_manager=MANAGER)

    await each((f"volume-{number}" for number in range(count)), make)


async def make_environment(client: KubeClient, name: str, workspace: str) -> None:
    spec = {
        "image": "localhost/codesession-sandbox:dev",
        "workspace": {"type": workspace, "size": "1Gi"},
        "warmPool": {"replicas": 0},
    }
    body = {"apiVersion": API_VERSION, "kind": "CodeEnvironment", "metadata": {"name": name}, "spec": spec}
    await client.create(CODE_ENVIRONMENTS.path(SANDBOXES), body, field_manager=MANAGER)


def session(name: str, environment: str) -> Object:
    """Claimed, and with hours to go."""
    now = datetime.now(UTC)
    claim = {"tenant": "a" * 32, "principal": "b" * 32, "claimedAt": rfc3339(now)}
    spec = {
        "environmentRef": {"name": environment},
        "claim": claim,
        "shutdownTime": rfc3339(now + timedelta(hours=12)),
    }
    return {"apiVersion": API_VERSION, "kind": "CodeSession", "metadata": {"name": name}, "spec": spec}
