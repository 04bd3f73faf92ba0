"""The operator as a process, against a real cluster, in a namespace of its own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from yarl import URL

from codesession_crds import labels
from codesession_crds.model import rfc3339
from codesession_crds.paths import (
    CODE_ENVIRONMENTS,
    CODE_SESSIONS,
    LIMIT_RANGES,
    NETWORK_POLICIES,
    PODS,
    RESOURCE_QUOTAS,
    VOLUME_CLAIMS,
)
from tests.real_cluster import Cluster, Process, namespace
from tests.wire import Wire

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not os.environ.get("KUBECONFIG"), reason="KUBECONFIG is not set"),
    pytest.mark.timeout(300),
]

Object = dict[str, Any]


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


async def test_a_policy_that_is_opened_is_closed(cluster: Cluster, operator: Process) -> None:
    await cluster.environment()
    (policy,) = await cluster.until(NETWORK_POLICIES, lambda found: len(found) == 1)
    path = NETWORK_POLICIES.path(cluster.namespace, policy["metadata"]["name"])
    openings: list[Object] = [
        {"egress": [{}]},
        {"ingress": [{}]},
        {"podSelector": {"matchLabels": {"no": "pod"}}},
    ]
    for opening in openings:
        opened = await cluster.client.merge_patch(path, {"spec": opening})
        assert opened["spec"] != policy["spec"]
        await cluster.until(NETWORK_POLICIES, lambda found: found[0]["spec"] == policy["spec"])


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


@pytest.fixture
def kubeconfig() -> Object:
    config: Object = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    return config


async def test_livez_turns_red_when_watches_go_dead(
    cluster: Cluster, kubeconfig: Object, tmp_path: Path
) -> None:
    (entry,) = kubeconfig["clusters"]
    address = URL(entry["cluster"]["server"])
    assert address.host is not None
    wire = Wire(address.host, address.port or 443)
    async with wire.open():
        entry["cluster"] |= {"server": f"https://127.0.0.1:{wire.port}", "tls-server-name": address.host}
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
        operator = Process(
            cluster.namespace,
            KUBECONFIG=str(tmp_path / "kubeconfig"),
            CODESESSION_OPERATOR_INACTIVITY_SECONDS="50",
            CODESESSION_OPERATOR_AUDIT_SECONDS="2",
            CODESESSION_OPERATOR_AUDIT_GRACE_SECONDS="2",
        )
        await operator.start()
        try:
            assert await operator.status("livez") == 200
            wire.freeze()
            await cluster.environment()
            await operator.answers("livez", 503, within=90)
            # kopf drops a stream that is silent for too long, and hears again
            await operator.answers("livez", 200, within=180)
            await cluster.until(CODE_ENVIRONMENTS, all_ready)
        finally:
            await operator.stop()
