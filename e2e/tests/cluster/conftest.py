from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from e2e.targets import Target, kubectl, release
from e2e.targets.kubectl import Json
from e2e.targets.waiting import eventually

PROBES = "codesession-e2e-probes"
IMAGE = "localhost/codesession-sandbox:dev"


@pytest.fixture(scope="session")
def api(chart_release: Target) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=f"{chart_release.url}/v1", headers=chart_release.headers, timeout=150, trust_env=False
    ) as client:
        yield client


@pytest.fixture(scope="module")
def open_pods(chart_release: Target) -> Iterator[dict[str, Json]]:
    """Pods of the sandbox's image and runtime in a namespace that no policy governs."""
    eventually(lambda: not _terminating(PROBES), f"the end of an earlier {PROBES}", seconds=120)
    image = _image()
    kubectl.apply(_namespace(), *(_pod(name, image) for name in ("prober", "peer")))
    kubectl.out("wait", "pods", "--all", "-n", PROBES, "--for=condition=Ready", "--timeout=120s")
    yield {pod["metadata"]["name"]: pod for pod in kubectl.items("pods", PROBES)}
    kubectl.out("delete", "namespace", PROBES, "--wait=false")


def _image() -> str:
    """That of the sandboxes, wherever this cluster gets it from."""
    environment = kubectl.get("codeenvironments", "default", release.SANDBOXES) or {}
    return str(environment["spec"]["image"])


def _namespace() -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PROBES}}


def _terminating(namespace: str) -> bool:
    found = kubectl.run("get", "namespace", namespace, "-o", "jsonpath={.status.phase}")
    return found.stdout == "Terminating"


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
