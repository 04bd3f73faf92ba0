"""A sandbox reaches nobody, and nobody reaches a sandbox, where a pod beside it reaches everybody."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from e2e.targets import Target, kubectl, release
from e2e.targets.kubectl import Json
from e2e.targets.waiting import eventually
from e2e.tests.cluster import environments, probing
from e2e.tests.cluster.probing import Address

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NAMES = (
    "another pod",
    "API Service",
    "API pod",
    "MinIO",
    "API server by its Service",
    "API server by its node",
    "node port",
    "kubelet",
    "cluster DNS over UDP",
    "cluster DNS over TCP",
    "outside of the cluster",
    "internet",
    "metadata service",
)
# What a cluster may lack; that a sandbox does not reach it proves nothing then.
MAY_BE_ABSENT = {"internet", "metadata service"}
# Even to a pod without a policy: only the API's pods may.
GUARDED = {"MinIO"}


@pytest.fixture(scope="module")
def addresses(open_pods: dict[str, Json]) -> Iterator[dict[str, Address]]:
    node, dns = release.node_addresses()[0], cluster_ip("kube-dns", "kube-system")
    api = kubectl.get("services", f"{release.NAME}-api", release.NAMESPACE) or {}
    (endpoint,) = json.loads(kubectl.out("get", "endpoints", "kubernetes", "-o", "json"))["subsets"]
    with listening(node) as outside:
        found = (
            Address("tcp", open_pods["peer"]["status"]["podIP"], 8080),
            Address("tcp", api["spec"]["clusterIP"], 80),
            Address("tcp", release.api_pods()[0]["status"]["podIP"], 8000),
            Address("tcp", cluster_ip(f"{release.NAME}-minio", release.NAMESPACE), 9000),
            Address("tcp", cluster_ip("kubernetes", "default"), 443),
            Address("tcp", endpoint["addresses"][0]["ip"], endpoint["ports"][0]["port"]),
            Address("tcp", node, api["spec"]["ports"][0]["nodePort"]),
            Address("tcp", node, 10250),
            Address("udp", dns, 53),
            Address("tcp", dns, 53),
            outside,
            probing.INTERNET,
            probing.METADATA,
        )
        yield dict(zip(NAMES, found, strict=True))


def cluster_ip(service: str, namespace: str) -> str:
    found = kubectl.get("services", service, namespace) or {}
    return str(found["spec"]["clusterIP"])


@contextlib.contextmanager
def listening(node: str) -> Iterator[Address]:
    """A server on the machine of the tests, at the address that the cluster's node knows it by."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        route.connect((node, 1))
        host = route.getsockname()[0]
    with socket.create_server((host, 0)) as server:
        threading.Thread(target=accept_until_closed, args=(server,), daemon=True).start()
        yield Address("tcp", host, server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)


def accept_until_closed(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            server.accept()[0].close()


@pytest.fixture(scope="module")
def open_to_others(
    addresses: dict[str, Address], open_pods: dict[str, Json], stand_in: bool
) -> dict[str, bool]:
    """What the pod without a policy reaches, which proves that the probe can."""
    needed = set(NAMES) - GUARDED - (set() if stand_in else MAY_BE_ABSENT)

    def probe() -> dict[str, bool] | None:
        reached = probing.from_pod(open_pods["prober"], addresses)
        return reached if all(reached[name] for name in needed) else None

    return eventually(probe, "every address from a pod without a policy")


@pytest.fixture(scope="module")
def open_to_code(addresses: dict[str, Address], api: httpx.Client) -> dict[str, bool]:
    return probing.from_sandbox(api, addresses)


@pytest.fixture(scope="module")
def open_to_allowed(
    chart_release: Target, addresses: dict[str, Address], open_to_others: dict[str, bool]
) -> dict[str, bool]:
    """What code reaches whose environment allows every address and port, as far as an allow list can say."""
    rules = [
        {
            "cidr": "0.0.0.0/0",
            "protocol": protocol.upper(),
            "ports": sorted({one.port for one in addresses.values() if one.protocol == protocol}),
        }
        for protocol in ("tcp", "udp")
    ]
    with environments.changed(chart_release, network={"mode": "Allow", "egress": rules}) as tenant:

        def probe() -> dict[str, bool] | None:
            reached = probing.from_sandbox(tenant, addresses)
            # A policy takes effect some time after it is made.
            return reached if reached["internet"] or not open_to_others["internet"] else None

        return eventually(probe, "what is allowed")


def test_an_allow_list_opens_the_internet_and_nothing_of_the_cluster(
    open_to_others: dict[str, bool], open_to_allowed: dict[str, bool]
) -> None:
    opened = {name for name, is_open in open_to_allowed.items() if is_open}
    assert opened <= {"internet"}
    if not open_to_others["internet"]:
        pytest.skip("no pod of this cluster reaches the internet, so what was allowed cannot be seen")
    assert opened == {"internet"}


@pytest.mark.parametrize("name", NAMES)
def test_a_sandbox_does_not_reach(
    name: str, open_to_others: dict[str, bool], open_to_code: dict[str, bool]
) -> None:
    assert not open_to_code[name]
    if name in MAY_BE_ABSENT and not open_to_others[name]:
        pytest.skip("no pod of this cluster reaches it, so that a sandbox does not proves nothing")


def test_only_the_api_reaches_the_store(open_to_others: dict[str, bool]) -> None:
    assert not open_to_others["MinIO"]


def test_nobody_reaches_a_sandbox(
    api: httpx.Client, open_pods: dict[str, Json], open_to_others: dict[str, bool]
) -> None:
    session = api.post("/exec", json={"lang": "py", "code": "1"}).json()["session_id"]
    pod = kubectl.get("pods", session, release.SANDBOXES) or {}
    ready = {"sandbox": Address("tcp", pod["status"]["podIP"], 8700)}
    assert open_to_others["another pod"]
    assert probing.from_pod(open_pods["prober"], ready) == {"sandbox": False}
    # That the runner listens there is what made the pod ready.
    assert kubectl.is_ready(pod)
