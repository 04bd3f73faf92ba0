"""A namespace of a real cluster, and the operator as a process beside it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from codesession_crds.client import APPLY, KubeClient
from codesession_crds.definitions import all_definitions
from codesession_crds.errors import ApiStatusError
from codesession_crds.model import API_VERSION, rfc3339
from codesession_crds.names import new_id
from codesession_crds.paths import CODE_ENVIRONMENTS, CODE_SESSIONS, PODS, Resource

Object = dict[str, Any]
IMAGE = "localhost/codesession-sandbox:dev"
MANAGER = "codesession-tests"


class Cluster:
    """One namespace of a real cluster."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self.client = client
        self.namespace = namespace

    async def environment(self, **spec: Any) -> Object:
        small = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}
        whole = {"image": IMAGE, "resources": small, "warmPool": {"replicas": 0}, **spec}
        return await self._create(CODE_ENVIRONMENTS, "default", whole)

    async def session(self, *, seconds: float = 3600) -> str:
        """The name of a new claimed session that ends in so many seconds."""
        now = datetime.now(UTC)
        claim = {"tenant": "a" * 32, "principal": "b" * 32, "claimedAt": rfc3339(now)}
        spec = {
            "environmentRef": {"name": "default"},
            "claim": claim,
            "shutdownTime": rfc3339(now + timedelta(seconds=seconds)),
        }
        name = new_id()
        await self._create(CODE_SESSIONS, name, spec)
        return name

    async def _create(self, resource: Resource, name: str, spec: Object) -> Object:
        obj = {
            "apiVersion": API_VERSION,
            "kind": resource.kind,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }
        while True:
            try:
                return await self.client.create(resource.path(self.namespace), obj, field_manager=MANAGER)
            except ApiStatusError as error:
                # The operator just made the quota, and nothing has counted what there is yet.
                if "status unknown for quota" not in error.message:
                    raise
            await asyncio.sleep(0.1)

    async def claim(self, session: Object) -> None:
        """As the API does it."""
        now = datetime.now(UTC)
        claim = {"tenant": "a" * 32, "principal": "b" * 32, "claimedAt": rfc3339(now)}
        spec = {"claim": claim, "shutdownTime": rfc3339(now + timedelta(seconds=600))}
        metadata = session["metadata"]
        path = CODE_SESSIONS.path(self.namespace, metadata["name"])
        await self.client.merge_patch(path, {"spec": spec}, resource_version=metadata["resourceVersion"])

    @asynccontextmanager
    async def pods_pretend(self) -> AsyncIterator[None]:
        """Pods that no node takes say that they are ready, as long as the block runs."""

        async def pretend() -> None:
            ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            async for event in self.client.watch(PODS.path(self.namespace)):
                for pod in event.items if event.type == "LISTED" else (event.object,):
                    if event.type != "DELETED" and pod["status"]["phase"] == "Pending":
                        path = PODS.path(self.namespace, pod["metadata"]["name"], "status")
                        with contextlib.suppress(ApiStatusError):
                            await self.client.merge_patch(path, {"status": ready})

        pretending = asyncio.create_task(pretend())
        try:
            yield
        finally:
            pretending.cancel()
            await asyncio.wait([pretending])

    async def all(self, resource: Resource) -> list[Object]:
        items, _ = await self.client.list(resource.path(self.namespace))
        return items

    async def get(self, resource: Resource, name: str) -> Object:
        return await self.client.get(resource.path(self.namespace, name))

    async def until(
        self, resource: Resource, holds: Callable[[list[Object]], bool], seconds: float = 90
    ) -> list[Object]:
        """All objects of the kind, once `holds` is true of them."""
        known: dict[str, Object] = {}
        async with asyncio.timeout(seconds):
            async for event in self.client.watch(resource.path(self.namespace)):
                if event.type == "LISTED":
                    known = {item["metadata"]["name"]: item for item in event.items}
                elif event.type == "DELETED":
                    known.pop(event.object["metadata"]["name"], None)
                else:
                    known[event.object["metadata"]["name"]] = event.object
                if holds(list(known.values())):
                    return list(known.values())
        raise AssertionError("the watch ended")


class Process:
    """The operator, started and killed at will."""

    def __init__(self, namespace: str, **environment: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._environment = os.environ | {
            "CODESESSION_OPERATOR_NAMESPACE": namespace,
            "CODESESSION_OPERATOR_HOST": "127.0.0.1",
            "CODESESSION_OPERATOR_PORT": str(self.port),
            **environment,
        }
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns when it is ready."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "codesession_operator", env=self._environment
        )
        await self.answers("readyz", 200, within=120)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await self.process.wait()

    async def answers(self, path: str, status: int, *, within: float) -> None:
        """Returns once the path answers so."""
        async with asyncio.timeout(within):
            while True:
                if await self.status(path) == status:
                    return
                assert self.process is not None
                assert self.process.returncode is None
                await asyncio.sleep(0.1)

    async def status(self, path: str) -> int:
        try:
            async with aiohttp.ClientSession() as http, http.get(self._url(path)) as answer:
                return answer.status
        except aiohttp.ClientConnectionError:
            return 0

    async def writes(self) -> int:
        """How often it asked the API server to change something, Events and environments' counts aside."""
        async with aiohttp.ClientSession() as http, http.get(self._url("metrics")) as answer:
            text = await answer.text()
        found = re.findall(r'requests_total\{method="(\w+)",resource="([\w/]+)"\} (\d+)', text)
        ours = ("codesessions", "codesessions/status", "pods", "persistentvolumeclaims")
        reads = ("GET", "WATCH")
        return sum(int(count) for method, what, count in found if method not in reads and what in ours)

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"


async def install(client: KubeClient) -> None:
    query = {"fieldManager": MANAGER, "force": "true"}
    for definition in all_definitions().values():
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}"
        await client.request("PATCH", path, body=definition, content_type=APPLY, query=query, idempotent=True)


@asynccontextmanager
async def namespace() -> AsyncIterator[Cluster]:
    async with await KubeClient.connect() as client:
        await install(client)
        name = f"codesession-test-{new_id()}"
        restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
        await client.create(
            "/api/v1/namespaces",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": restricted}},
            field_manager=MANAGER,
        )
        try:
            yield Cluster(client, name)
        finally:
            await client.delete(f"/api/v1/namespaces/{name}")
