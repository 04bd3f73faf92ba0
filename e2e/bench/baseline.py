"""The same work without CodeSession: a fresh `pods/exec` or a fresh pod per request, and S3 itself."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
from minio import Minio

from codesession_crds.client import KubeClient
from codesession_crds.names import new_id
from codesession_crds.paths import PODS
from e2e.targets import kubectl, release
from e2e.targets.kubectl import Json

NAMESPACE = "codesession-e2e-bench"
POD = "exec-per-request"
IMPORTS = "import numpy, pandas, matplotlib.pyplot\n"
"""What a sandbox has ready."""
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDOUT, _ERROR = 1, 3
_LOOK_SECONDS = 0.02


@contextlib.asynccontextmanager
async def pod_like(session: str) -> AsyncIterator[Json]:
    """A pod of the session's specification, in a namespace where exec is not only for the API."""
    twin = _twin(kubectl.get("pods", session, release.SANDBOXES) or {})
    kubectl.out("delete", "namespace", NAMESPACE, "--ignore-not-found")
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, twin)
    try:
        kubectl.out("wait", f"pod/{POD}", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=120s")
        yield twin
    finally:
        kubectl.out("delete", "namespace", NAMESPACE, "--wait=true")


def _twin(pod: Json) -> Json:
    spec: dict[str, Any] = {key: value for key, value in pod["spec"].items() if key != "nodeName"}
    spec["volumes"] = [
        {"name": volume["name"], "emptyDir": {}} if "persistentVolumeClaim" in volume else volume
        for volume in spec["volumes"]
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD, "namespace": NAMESPACE},
        "spec": spec,
    }


async def execute(client: KubeClient, *command: str) -> str:
    """What a command in the twin prints. AssertionError when it fails."""
    query = [("container", "sandbox"), ("stdout", "true"), ("stderr", "true")]
    query += [("command", word) for word in command]
    socket = await client.websocket(PODS.path(NAMESPACE, POD, "exec"), query, _PROTOCOLS)
    printed, status = b"", b""
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY and message.data:
            stream, data = message.data[0], message.data[1:]
            printed += data if stream == _STDOUT else b""
            status += data if stream == _ERROR else b""
    await socket.close()
    assert json.loads(status)["status"] == "Success", status
    return printed.decode()


async def in_new_pod(client: KubeClient, twin: Json, code: str) -> str:
    """What code prints in a pod of its own, with the imports that a sandbox has ready; the pod is deleted.

    AssertionError when it fails. Only on this side of it are CodeSession, its volume and its probe missing.
    """
    name = f"container-per-request-{new_id()}"
    container = {key: value for key, value in twin["spec"]["containers"][0].items() if "Probe" not in key}
    container |= {"command": ["python3", "-c", IMPORTS + code]}
    pod = twin | {"metadata": {"name": name}, "spec": twin["spec"] | {"containers": [container]}}
    path = PODS.path(NAMESPACE)
    await client.create(path, pod, field_manager="codesession-e2e-bench")
    try:
        while True:
            phase = (await client.get(f"{path}/{name}"))["status"]["phase"]
            if phase not in ("Pending", "Running"):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        assert phase == "Succeeded", phase
        return kubectl.out("logs", name, "-n", NAMESPACE)
    finally:
        await client.delete(f"{path}/{name}")


@contextlib.contextmanager
def direct_s3() -> Iterator[Minio | None]:
    """The release's MinIO, reached from here as the API is; None where its node's port does not answer."""
    secret = (kubectl.get("secrets", f"{release.NAME}-minio", release.NAMESPACE) or {})["data"]
    keys = {name: base64.b64decode(value).decode() for name, value in secret.items()}
    names = [f"{kind}/codesession-e2e-bench-minio" for kind in ("service", "networkpolicy")]
    kubectl.apply(*_opening())
    try:
        service = kubectl.get("services", "codesession-e2e-bench-minio", release.NAMESPACE) or {}
        port = service["spec"]["ports"][0]["nodePort"]
        host = _answering(port)
        yield Minio(f"{host}:{port}", keys["access-key"], keys["secret-key"], secure=False) if host else None
    finally:
        kubectl.out("delete", "-n", release.NAMESPACE, *names)


def _answering(port: int) -> str | None:
    """The node that lets us in, once the rules for it are in force."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for node in release.node_addresses():
            if release.connects(node, port):
                return node
    return None


def _opening() -> tuple[Json, Json]:
    """A port on the nodes for MinIO, and the leave to use it."""
    metadata = {"name": "codesession-e2e-bench-minio", "namespace": release.NAMESPACE}
    selector = {
        "app.kubernetes.io/instance": release.NAME,
        "app.kubernetes.io/component": "minio",
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"type": "NodePort", "selector": selector, "ports": [{"port": 9000}]},
    }
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {"podSelector": {"matchLabels": selector}, "ingress": [{}]},
    }
    return service, policy
