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
from codesession_crds.names import new_id
from codesession_crds.paths import (
    CODE_ENVIRONMENTS,
    CODE_SESSIONS,
    LIMIT_RANGES,
    NETWORK_POLICIES,
    PODS,
    RESOURCE_QUOTAS,
    VOLUME_CLAIMS,
)
from codesession_operator.actions import Deletion
from codesession_operator.clock import utc_now
from codesession_operator.executor import Executor
from codesession_operator.world import World
from e2e.targets import kubectl
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


@pytest.fixture
async def other(cluster: Cluster) -> AsyncIterator[Process]:
    """Another operator of the same namespace."""
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

    claimed = warm[0]["metadata"]
    await cluster.claim(warm[0])
    await cluster.until(CODE_SESSIONS, lambda found: len(found) == 4 and all_ready(found))

    environment = CODE_ENVIRONMENTS.path(cluster.namespace, "default")
    await cluster.client.merge_patch(environment, {"spec": {"warmPool": {"replicas": 0}}})
    (left,) = await cluster.until(CODE_SESSIONS, lambda found: len(found) == 1)
    assert left["metadata"]["name"] == claimed["name"]
    await cluster.until(PODS, lambda pods: len(pods) == 1)
    assert len(seen) == 4
    counting.cancel()
    await asyncio.wait([counting])


NOWHERE = {"nodeSelector": {"there-is": "no-such-node"}}
RESTRICTED: Object = {
    "automountServiceAccountToken": False,
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"}},
}
CONTAINER: Object = {
    "name": "any",
    "image": "any",
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}


def names(objects: list[Object]) -> set[str]:
    return {obj["metadata"]["name"] for obj in objects}


def unclaimed(sessions: list[Object]) -> list[Object]:
    return [one for one in sessions if "claim" not in one["spec"]]


async def test_two_operators_at_once_make_nothing_twice_and_lose_nothing(
    cluster: Cluster, operator: Process, other: Process
) -> None:
    """While sessions come, are claimed and go, and pods are lost."""
    async with cluster.pods_pretend():
        await cluster.environment(warmPool={"replicas": 3, "maxRefillPerMinute": 600}, **NOWHERE)
        mine = [await cluster.session() for _ in range(4)]
        warm = await cluster.until(
            CODE_SESSIONS, lambda found: len(unclaimed(found)) == 3 and all_ready(found)
        )
        mine += await asyncio.gather(*(cluster.session() for _ in range(8)))
        taken, lost, gone = unclaimed(warm)[:2], mine[:3], mine[3:6]
        await asyncio.gather(
            *(cluster.claim(one) for one in taken),
            *(cluster.client.delete(PODS.path(cluster.namespace, name)) for name in lost),
            *(cluster.client.delete(CODE_SESSIONS.path(cluster.namespace, name)) for name in gone),
        )
        owned = (set(mine) | names(taken)) - set(gone)

        def settled(found: list[Object]) -> bool:
            spare = unclaimed(found)
            return all_ready(found) and len(spare) == 3 and names(found) - names(spare) == owned

        sessions = await cluster.until(CODE_SESSIONS, settled)
        restarts = {one["metadata"]["name"]: one["status"]["restartCount"] for one in sessions}
        assert {name for name, count in restarts.items() if count} == set(lost)
        assert set(restarts.values()) == {0, 1}
        for resource in (PODS, VOLUME_CLAIMS):
            children = await cluster.until(resource, lambda found: names(found) == names(sessions))
            owners = {one["metadata"]["ownerReferences"][0]["uid"] for one in children}
            assert owners == {one["metadata"]["uid"] for one in sessions}
        # Each hears of all of it once more, and finds nothing to do.
        for process in (operator, other):
            await process.stop(signal.SIGKILL)
        versions = {one["metadata"]["resourceVersion"] for one in await cluster.all(CODE_SESSIONS)}
        await asyncio.gather(operator.start(), other.start())
        assert await operator.writes() + await other.writes() == 0
        after = {one["metadata"]["resourceVersion"] for one in await cluster.all(CODE_SESSIONS)}
        assert after == versions


async def test_a_pod_that_no_node_lets_go_of_is_removed(cluster: Cluster) -> None:
    """It has a node that does not answer, as after a power cut."""
    node = f"lost-{cluster.namespace[-8:]}"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": new_id()},
        "spec": {"nodeName": node, "containers": [CONTAINER], **RESTRICTED},
    }
    made = (await cluster.client.create(PODS.path(cluster.namespace), pod, field_manager="test"))["metadata"]
    stuck = await cluster.client.delete(PODS.path(cluster.namespace, made["name"]))
    assert stuck["metadata"]["deletionTimestamp"]
    assert names(await cluster.all(PODS)) == {made["name"]}
    executor = Executor(cluster.client, World(lambda _: None), cluster.namespace, utc_now)
    assert await executor.delete(Deletion(PODS, made["name"], made["uid"], force=True))
    assert await cluster.all(PODS) == []


async def test_a_session_is_waited_for_and_seen_at_a_glance(cluster: Cluster, operator: Process) -> None:
    async with cluster.pods_pretend():
        await cluster.environment(**NOWHERE)
        name = await cluster.session()
        wait = ("--for=condition=Ready", "--timeout=60s", f"cses/{name}")
        await asyncio.to_thread(kubectl.out, "wait", "-n", cluster.namespace, *wait)
        path = CODE_SESSIONS.path(cluster.namespace, name)
        await cluster.client.merge_patch(path, {"spec": {"operatingMode": "Suspended"}})
        wait = ("--for=jsonpath={.status.phase}=Suspended", "--timeout=60s", f"cses/{name}")
        await asyncio.to_thread(kubectl.out, "wait", "-n", cluster.namespace, *wait)
        (volume,) = await cluster.all(VOLUME_CLAIMS)
        await cluster.client.merge_patch(path, {"spec": {"operatingMode": "Running"}})
        await cluster.until(CODE_SESSIONS, all_ready)
        assert await cluster.all(VOLUME_CLAIMS) == [volume]
        table = await asyncio.to_thread(kubectl.out, "get", "cses", "-n", cluster.namespace)
    head, row = (line.split() for line in table.splitlines())
    assert head == ["NAME", "ENVIRONMENT", "PHASE", "CLAIMED", "REASON", "SHUTDOWN", "AGE"]
    assert row[:3] + row[4:5] == [name, "default", "Ready", "Ready"]


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
