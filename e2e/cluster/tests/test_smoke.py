"""What the other suites take for granted: gVisor, admission, policies, volumes, DNS, NodePorts."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from e2e.cluster.archives import HELPER
from e2e.cluster.cache import binary

pytestmark = pytest.mark.cluster

SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "fsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
DENY_ALL = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny-all"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "claim"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
}
NODE_PORT = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "server"},
    "spec": {"type": "NodePort", "selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
}


class Kubectl:
    """kubectl in one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def tried(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(binary("kubectl")), f"--namespace={self.namespace}", *words]
        return subprocess.run(command, check=False, input=stdin, capture_output=True, text=True)

    def __call__(self, *words: str, stdin: str | None = None) -> str:
        done = self.tried(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, resource: dict[str, Any]) -> None:
        self("apply", "-f", "-", stdin=json.dumps(resource))

    def start(self, resource: dict[str, Any]) -> None:
        self.apply(resource)
        self("wait", "--for=condition=Ready", "--timeout=60s", f"pod/{resource['metadata']['name']}")

    def shell(self, pod: str, script: str) -> subprocess.CompletedProcess[str]:
        return self.tried("exec", pod, "--", "sh", "-c", script)


def sandbox(name: str, script: str, **changes: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": HELPER,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
        "securityContext": CONTAINER_SECURITY,
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "volumeMounts": [
            {"name": volume["name"], "mountPath": "/data"} for volume in changes.get("volumes", ())
        ],
    }
    spec = {
        "runtimeClassName": "gvisor",
        "securityContext": SECURITY,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
    }
    metadata = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec | changes}


def until(what: Callable[[], bool], seconds: float) -> float:
    """Wait for it to be so; the answer is how long that took."""
    start = time.monotonic()
    while not what():
        assert time.monotonic() - start < seconds, f"not so after {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - start


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    kubectl = Kubectl(f"smoke-{uuid.uuid4().hex[:8]}")
    if HELPER not in kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.images[*].names}"):
        pytest.skip(f"no node has {HELPER}, which `e2e.cluster up` loads")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": kubectl.namespace, "labels": labels}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    yield kubectl
    kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


@pytest.fixture(scope="module")
def pods(kubectl: Kubectl) -> None:
    """`server`, which answers `hello` on port 8080, and `client`, which waits for what it is told."""
    kubectl.start(sandbox("server", "cd /tmp && echo hello >index.html && exec httpd -f -p 8080"))
    kubectl.start(sandbox("client", "exec sleep 3600"))


def fetches(kubectl: Kubectl) -> bool:
    address = kubectl("get", "pod", "server", "-o", "jsonpath={.status.podIP}")
    request = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {address} 8080"
    return kubectl.shell("client", request).stdout.endswith("\nhello\n")


def reaches_the_apiserver(kubectl: Kubectl) -> bool:
    return kubectl.shell("client", "nc -w 2 10.96.0.1 443 </dev/null").returncode == 0


@pytest.mark.usefixtures("pods")
def test_a_restricted_pod_runs_in_gvisor(kubectl: Kubectl) -> None:
    assert "Starting gVisor" in kubectl.shell("client", "dmesg").stdout


def test_pod_security_refuses_a_privileged_pod(kubectl: Kubectl) -> None:
    pod = sandbox("privileged", "true", securityContext={}, hostPID=True)
    refused = kubectl.tried("apply", "-f", "-", stdin=json.dumps(pod))
    assert "violates PodSecurity" in refused.stderr


@pytest.mark.usefixtures("pods")
def test_exec_brings_back_output_and_exit_code(kubectl: Kubectl) -> None:
    done = kubectl.shell("client", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.returncode) == ("out\n", 7)
    assert done.stderr.startswith("err\n")


@pytest.mark.usefixtures("pods")
def test_a_pod_resolves_the_apiserver(kubectl: Kubectl) -> None:
    assert "10.96.0.1" in kubectl.shell("client", "nslookup kubernetes.default.svc.cluster.local").stdout


@pytest.mark.usefixtures("pods")
def test_a_node_port_answers_the_host(kubectl: Kubectl) -> None:
    kubectl.apply(NODE_PORT)
    port = kubectl("get", "service", "server", "-o", "jsonpath={.spec.ports[0].nodePort}")
    node = kubectl(
        "get", "nodes", "-o", "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}"
    )

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://{node}:{port}/", timeout=2) as answer:
                return bool(answer.read() == b"hello\n")
        except (urllib.error.URLError, TimeoutError):
            return False

    until(answers, 15)


@pytest.mark.usefixtures("pods")
def test_a_network_policy_is_enforced_and_lifted(kubectl: Kubectl) -> None:
    until(lambda: fetches(kubectl) and reaches_the_apiserver(kubectl), 15)
    kubectl.apply(DENY_ALL)
    until(lambda: not fetches(kubectl) and not reaches_the_apiserver(kubectl), 15)
    kubectl("delete", "networkpolicy", "deny-all")
    until(lambda: fetches(kubectl) and reaches_the_apiserver(kubectl), 15)


def test_a_volume_outlives_its_pod(kubectl: Kubectl) -> None:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "claim"}}]
    kubectl.apply(CLAIM)
    kubectl.start(sandbox("writer", "echo kept >/data/file && exec sleep 3600", volumes=volumes))
    kubectl("delete", "pod", "writer")
    kubectl.start(sandbox("reader", "exec sleep 3600", volumes=volumes))
    assert kubectl.shell("reader", "cat /data/file").stdout == "kept\n"
