"""The operator as a process, against a real cluster, in a namespace of its own."""

from __future__ import annotations

import asyncio
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
import pytest

from codesession_crds import labels
from codesession_crds.client import APPLY, KubeClient
from codesession_crds.definitions import all_definitions
from codesession_crds.model import API_VERSION, rfc3339
from codesession_crds.names import new_id
from codesession_crds.paths import (
    CODE_ENVIRONMENTS,
    CODE_SESSIONS,
    LIMIT_RANGES,
    NETWORK_POLICIES,
    PODS,
    RESOURCE_QUOTAS,
    VOLUME_CLAIMS,
    Resource,
)

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not os.environ.get("KUBECONFIG"), reason="KUBECONFIG is not set"),
    pytest.mark.timeout(300),
]

Object = dict[str, Any]
IMAGE = os.environ.get("CODESESSION_TEST_IMAGE", "localhost/codesession-sandbox:dev")
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
        return await self.client.create(resource.path(self.namespace), obj, field_manager=MANAGER)

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

    def __init__(self, namespace: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._environment = os.environ | {
            "CODESESSION_OPERATOR_NAMESPACE": namespace,
            "CODESESSION_OPERATOR_HOST": "127.0.0.1",
            "CODESESSION_OPERATOR_PORT": str(self.port),
        }
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns when it is ready."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "codesession_operator", env=self._environment
        )
        async with asyncio.timeout(60):
            while await self.status("readyz") != 200:
                assert self.process.returncode is None
                await asyncio.sleep(0.1)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await self.process.wait()

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
        return sum(int(count) for method, what, count in found if method != "GET" and what in ours)

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


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with namespace() as cluster:
        yield cluster


@pytest.fixture
async def operator(cluster: Cluster) -> AsyncIterator[Process]:
    process = Process(cluster.namespace)
    await process.start()
    yield process
    await process.stop()


def reason(obj: Object) -> str:
    conditions = obj.get("status", {}).get("conditions") or [{"reason": ""}]
    found: str = conditions[0]["reason"]
    return found


def all_ready(objects: list[Object]) -> bool:
    return bool(objects) and all(reason(obj) == "Ready" for obj in objects)


async def test_a_session_from_creation_to_end(cluster: Cluster, operator: Process) -> None:
    await cluster.environment()
    await cluster.until(CODE_ENVIRONMENTS, all_ready)
    (policy,) = await cluster.all(NETWORK_POLICIES)
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & policy["spec"].keys()
    assert len(await cluster.all(RESOURCE_QUOTAS)) == len(await cluster.all(LIMIT_RANGES)) == 1

    name = await cluster.session()
    (session,) = await cluster.until(CODE_SESSIONS, all_ready)
    pod = await cluster.get(PODS, name)
    status = session["status"]
    assert (status["phase"], status["podName"], status["podUID"]) == ("Ready", name, pod["metadata"]["uid"])
    assert pod["spec"]["runtimeClassName"] == "gvisor"
    assert pod["metadata"]["labels"][labels.SESSION] == name
    # create of the session itself is the sixth
    assert await operator.writes() <= 5

    await cluster.client.delete(CODE_SESSIONS.path(cluster.namespace, name))
    await cluster.until(PODS, lambda pods: not pods)
    await cluster.until(VOLUME_CLAIMS, lambda claims: not claims)
    assert await operator.status("livez") == 200
    assert await operator.stop() == 0


async def test_nothing_is_written_when_nothing_changes(cluster: Cluster, operator: Process) -> None:
    await cluster.environment(workspace={"type": "Memory", "size": "16Mi"})
    await cluster.session()
    await cluster.until(CODE_SESSIONS, all_ready)
    before = await operator.writes()
    await operator.stop()
    await operator.start()
    versions = [obj["metadata"]["resourceVersion"] for obj in await cluster.all(CODE_SESSIONS)]
    assert before > 0
    assert await operator.writes() == 0
    assert [obj["metadata"]["resourceVersion"] for obj in await cluster.all(CODE_SESSIONS)] == versions


async def test_a_session_past_its_time_is_gone(cluster: Cluster, operator: Process) -> None:
    await cluster.environment()
    await cluster.session(seconds=-5)
    lasting = await cluster.session(seconds=600)
    await cluster.until(CODE_SESSIONS, lambda found: [one["metadata"]["name"] for one in found] == [lasting])
    await cluster.until(CODE_SESSIONS, all_ready)
    end = rfc3339(datetime.now(UTC) + timedelta(seconds=1))
    path = CODE_SESSIONS.path(cluster.namespace, lasting)
    await cluster.client.merge_patch(path, {"spec": {"shutdownTime": end}})
    for resource in (CODE_SESSIONS, PODS, VOLUME_CLAIMS):
        await cluster.until(resource, lambda left: not left)


async def test_killed_in_mid_creation(cluster: Cluster, operator: Process) -> None:
    """Again and again, at any moment: each session ends with its one pod, and nothing is left over."""
    await cluster.environment(workspace={"type": "Memory", "size": "16Mi"})
    names = []
    for pause in (0.0, 0.05, 0.2):
        names.append(await cluster.session())
        await asyncio.sleep(pause)
        await operator.stop(signal.SIGKILL)
        await operator.start()
    await cluster.until(CODE_SESSIONS, lambda found: len(found) == len(names) and all_ready(found))
    pods = await cluster.all(PODS)
    assert sorted(pod["metadata"]["name"] for pod in pods) == sorted(names)
    sessions = {one["metadata"]["name"]: one for one in await cluster.all(CODE_SESSIONS)}
    assert {pod["metadata"]["uid"] for pod in pods} == {one["status"]["podUID"] for one in sessions.values()}
    assert {one["status"]["restartCount"] for one in sessions.values()} == {0}
    assert await cluster.all(VOLUME_CLAIMS) == []


async def test_a_lost_pod_is_replaced_on_its_volume(cluster: Cluster, operator: Process) -> None:
    await cluster.environment()
    name = await cluster.session()
    (before,) = await cluster.until(CODE_SESSIONS, all_ready)
    (volume,) = await cluster.all(VOLUME_CLAIMS)
    await cluster.client.delete(PODS.path(cluster.namespace, name))
    await cluster.until(CODE_SESSIONS, lambda found: reason(found[0]) == "PodLost")
    (after,) = await cluster.until(CODE_SESSIONS, all_ready)
    assert after["status"]["podUID"] != before["status"]["podUID"]
    assert after["status"]["restartCount"] == 1
    (kept,) = await cluster.all(VOLUME_CLAIMS)
    assert kept["metadata"]["uid"] == volume["metadata"]["uid"]


async def test_the_pool_reaches_its_size_and_stays_there(cluster: Cluster, operator: Process) -> None:
    seen: set[str] = set()

    async def count() -> None:
        async for event in cluster.client.watch(CODE_SESSIONS.path(cluster.namespace)):
            seen.update(item["metadata"]["name"] for item in (*event.items, event.object) if item)

    counting = asyncio.create_task(count())
    await cluster.environment(warmPool={"replicas": 3}, workspace={"type": "Memory", "size": "16Mi"})
    warm = await cluster.until(CODE_SESSIONS, lambda found: len(found) == 3 and all_ready(found))
    await cluster.until(CODE_ENVIRONMENTS, lambda found: found[0].get("status", {}).get("warm") == 3)
    await operator.stop(signal.SIGKILL)
    await operator.start()
    assert len(seen) == 3

    now = datetime.now(UTC)
    claim = {"tenant": "a" * 32, "principal": "b" * 32, "claimedAt": rfc3339(now)}
    spec = {"claim": claim, "shutdownTime": rfc3339(now + timedelta(seconds=600))}
    claimed = warm[0]["metadata"]
    path = CODE_SESSIONS.path(cluster.namespace, claimed["name"])
    await cluster.client.merge_patch(path, {"spec": spec}, resource_version=claimed["resourceVersion"])
    await cluster.until(CODE_SESSIONS, lambda found: len(found) == 4 and all_ready(found))

    environment = CODE_ENVIRONMENTS.path(cluster.namespace, "default")
    await cluster.client.merge_patch(environment, {"spec": {"warmPool": {"replicas": 0}}})
    (left,) = await cluster.until(CODE_SESSIONS, lambda found: len(found) == 1)
    assert left["metadata"]["name"] == claimed["name"]
    await cluster.until(PODS, lambda pods: len(pods) == 1)
    assert len(seen) == 4
    counting.cancel()
    await asyncio.wait([counting])


async def test_a_policy_that_is_deleted_comes_back(cluster: Cluster, operator: Process) -> None:
    egress = [
        {"cidr": "0.0.0.0/0", "ports": [443, 8443]},
        {"cidr": "2001:db8::/32", "ports": [53], "protocol": "UDP"},
    ]
    await cluster.environment(network={"mode": "Allow", "egress": egress})
    # Ready only if the API server keeps the policy exactly as it was built
    await cluster.until(CODE_ENVIRONMENTS, all_ready)
    (policy,) = await cluster.all(NETWORK_POLICIES)
    await cluster.client.delete(NETWORK_POLICIES.path(cluster.namespace, policy["metadata"]["name"]))
    await cluster.until(
        NETWORK_POLICIES,
        lambda found: len(found) == 1 and found[0]["metadata"]["uid"] != policy["metadata"]["uid"],
    )


async def test_what_hinders_a_pod_is_told(cluster: Cluster, operator: Process) -> None:
    await cluster.environment(
        image="localhost/there-is-no-such-image:1",
        imagePullPolicy="Never",
        workspace={"type": "Memory", "size": "16Mi"},
    )
    name = await cluster.session()
    await cluster.until(CODE_SESSIONS, lambda found: reason(found[0]) == "ImagePullFailed")
    path = CODE_SESSIONS.path(cluster.namespace, name)
    await cluster.client.merge_patch(path, {"spec": {"operatingMode": "Suspended"}})
    await cluster.until(CODE_SESSIONS, lambda found: reason(found[0]) == "Suspended")
    await cluster.until(PODS, lambda pods: not pods)
    environment = CODE_ENVIRONMENTS.path(cluster.namespace, "default")
    await cluster.client.merge_patch(environment, {"spec": {"nodeSelector": {"there-is": "no-such-node"}}})
    await cluster.client.merge_patch(path, {"spec": {"operatingMode": "Running"}})
    (session,) = await cluster.until(CODE_SESSIONS, lambda found: reason(found[0]) == "Unschedulable")
    assert "node" in session["status"]["conditions"][0]["message"]
