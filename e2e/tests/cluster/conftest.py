from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest

from e2e.targets import Target, kubectl, node, release
from e2e.targets.kubectl import Json
from e2e.targets.waiting import eventually
from e2e.tests.cluster.probing import INTERNET, METADATA

PROBES = "codesession-e2e-probes"
HELPER = "localhost/codesession-e2e-helper:1"
ANSWERING = f"""
each() {{ for host in {INTERNET.host} {METADATA.host}; do busybox ip address $1 $host/32 dev lo; done; }}
trap 'each del; exit' TERM
each add
busybox httpd -p {INTERNET.host}:{INTERNET.port}
busybox httpd -p {METADATA.host}:{METADATA.port}
while :; do sleep 3600 & wait; done
"""


class Replica(NamedTuple):
    pod: Json
    http: httpx.Client


@pytest.fixture(scope="session")
def api(chart_release: Target) -> Iterator[httpx.Client]:
    """One connection per request: a kept one may lead to a replica that was killed since."""
    headers = chart_release.headers | {"Connection": "close"}
    with httpx.Client(
        base_url=f"{chart_release.url}/v1", headers=headers, timeout=150, trust_env=False
    ) as client:
        yield client


@pytest.fixture
def within_reach(chart_release: Target) -> None:
    if not node.is_within_reach():
        pytest.skip("only of the bare cluster of this machine are the node's processes here")


@pytest.fixture
def replicas(chart_release: Target) -> Iterator[list[Replica]]:
    """Clients of the two replicas of the API, each of one alone."""
    pods = eventually(lambda: pods if len(pods := release.api_pods()) == 2 else None, "two replicas")
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_replica(pod, chart_release)) for pod in pods]


@contextlib.contextmanager
def _replica(pod: Json, target: Target) -> Iterator[Replica]:
    name = pod["metadata"]["name"]
    with (
        kubectl.forwarded(f"pod/{name}", release.NAMESPACE, 8000) as address,
        httpx.Client(
            base_url=f"http://{address}/v1", headers=target.headers, timeout=150, trust_env=False
        ) as client,
    ):
        yield Replica(pod, client)


@pytest.fixture(scope="module")
def open_pods(chart_release: Target) -> Iterator[dict[str, Json]]:
    """Pods of the sandbox's image and runtime in a namespace that no policy governs."""
    kubectl.out("delete", "namespace", PROBES, "--ignore-not-found")
    image = _image()
    kubectl.apply(_namespace(), *(_pod(name, image) for name in ("prober", "peer")))
    kubectl.out("wait", "pods", "--all", "-n", PROBES, "--for=condition=Ready", "--timeout=120s")
    yield {pod["metadata"]["name"]: pod for pod in kubectl.items("pods", PROBES)}
    kubectl.out("delete", "namespace", PROBES, "--wait=false")


@pytest.fixture(scope="module")
def stand_in(open_pods: dict[str, Json]) -> bool:
    """Whether the node answers for the internet and for a metadata service, which machines without them lack.

    Only on the cluster of this machine, whose node is a network namespace of its own.
    """
    if not release.is_this_machines() or HELPER not in _node_images():
        return False
    kubectl.apply(_stand_in())
    kubectl.out("wait", "pod/stand-in", "-n", PROBES, "--for=condition=Ready", "--timeout=60s")
    return True


def _stand_in() -> Json:
    container = {
        "name": "stand-in",
        "image": HELPER,
        "command": ["/bin/sh", "-c", ANSWERING],
        "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
        "readinessProbe": {"tcpSocket": {"host": METADATA.host, "port": METADATA.port}, "periodSeconds": 1},
    }
    metadata = {"name": "stand-in", "namespace": PROBES}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"hostNetwork": True, "automountServiceAccountToken": False, "containers": [container]},
    }


def _node_images() -> set[str]:
    nodes = json.loads(kubectl.out("get", "nodes", "-o", "json"))["items"]
    images = [image for node in nodes for image in node["status"]["images"]]
    return {name for image in images for name in image.get("names") or []}


def _image() -> str:
    """That of the sandboxes, wherever this cluster gets it from."""
    environment = kubectl.get("codeenvironments", "default", release.SANDBOXES) or {}
    return str(environment["spec"]["image"])


def _namespace() -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PROBES}}


def _pod(name: str, image: str) -> Json:
    container = {
        "name": "sandbox",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "http.server", "8080", "--directory", "/mnt"],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }
    spec = {
        "runtimeClassName": "gvisor",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
    }
    metadata = {"name": name, "namespace": PROBES}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
