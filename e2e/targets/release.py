"""The chart on the cluster of KUBECONFIG, as a release of its own beside whatever else is there."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from e2e.cluster.cache import binary
from e2e.targets import Target, TargetError, definitions, kubectl
from e2e.targets.kubectl import Json
from e2e.targets.waiting import eventually

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/codesession"
SANDBOX_IMAGE = "localhost/codesession-sandbox:dev"
NAME = NAMESPACE = "codesession-e2e"
SANDBOXES = "codesession-e2e-sandboxes"
WARM = 2
TENANTS = ("alice", "bob", "carol")
OTHER_ENVIRONMENT = "features"
"""That of the last tenant; a test makes of it what it needs."""


def is_this_machines() -> bool:
    """Whether KUBECONFIG is the cluster of `e2e.cluster`, which tests may do anything to."""
    done = subprocess.run([sys.executable, "-m", "e2e.cluster", "kubeconfig"], capture_output=True, cwd=ROOT)
    ours = Path(done.stdout.decode().strip() or "/dev/null")
    return done.returncode == 0 and Path(os.environ.get("KUBECONFIG", "")).resolve() == ours.resolve()


@contextlib.contextmanager
def installed() -> Iterator[Target]:
    """The release, fresh: of this checkout's images and definitions, and with no session of before.

    On another cluster than this machine's own the images have to be there; CODESESSION_E2E_VALUES names a
    file of values for it, CODESESSION_E2E_URL where its API answers.
    """
    if not os.environ.get("KUBECONFIG"):
        raise TargetError("KUBECONFIG is not set: `make e2e` brings a cluster up and sets it")
    if is_this_machines():
        _visibly([sys.executable, "-m", "images.build", "--load"])
    keys = _install()
    kubectl.out("delete", "codesessions", "--all", "-n", SANDBOXES)
    with _url() as url:
        eventually(lambda: answers(f"{url}/readyz"), f"{url}/readyz", seconds=120)
        eventually(warm_sessions, "warm sessions", seconds=180)
        yield Target("cluster", url, keys)


def warm_sessions() -> bool:
    """Whether the pool is full."""
    sessions = [item for item in kubectl.items("codesessions", SANDBOXES) if "claim" not in item["spec"]]
    ready = [item for item in sessions if item.get("status", {}).get("phase") == "Ready"]
    return len(ready) >= WARM


def account(component: str) -> str:
    """The user that the release's API or operator is: policies let nobody else do some of what they do."""
    return f"system:serviceaccount:{NAMESPACE}:{NAME}-{component}"


def api_pods() -> list[Json]:
    return kubectl.running(NAMESPACE, "app.kubernetes.io/component=api")


def _install() -> tuple[str, ...]:
    """The tenants' keys; those of a release that is there already are kept."""
    existing = _abandoned_or_none()
    definitions.install()
    keys = _keys() if existing else {}
    keys = {tenant: keys.get(tenant) or secrets.token_urlsafe(24) for tenant in TENANTS}
    values = ["-f", "-"]
    if extra := os.environ.get("CODESESSION_E2E_VALUES"):
        values += ["-f", extra]
    place = [NAME, str(CHART), "--namespace", NAMESPACE, "--create-namespace"]
    _helm("upgrade", "--install", *place, *values, stdin=json.dumps(_values(keys)))
    if existing:
        # The tag of the images stays the same, so that helm sees nothing to restart.
        kubectl.out("rollout", "restart", "deployment", "-n", NAMESPACE)
    for component in ("minio", "operator", "api"):
        kubectl.out("rollout", "status", f"deployment/{NAME}-{component}", "-n", NAMESPACE, "--timeout=180s")
    return tuple(keys.values())


def _values(keys: dict[str, str]) -> Json:
    return {
        "sandboxNamespace": {"name": SANDBOXES},
        "auth": {"mode": "api-key", "apiKeys": keys},
        "api": {
            "replicas": 2,
            "service": {"type": "NodePort"},
            "tenantEnvironments": {TENANTS[-1]: OTHER_ENVIRONMENT},
        },
        "environments": {
            "default": {"warmPool": {"replicas": WARM}},
            OTHER_ENVIRONMENT: {"image": SANDBOX_IMAGE, "warmPool": {"replicas": 0}},
        },
        "minio": {"storage": {"size": "5Gi"}},
    }


def _abandoned_or_none() -> bool:
    """Whether the release is there. One that a killed run left half made is removed first."""
    releases = json.loads(_helm("list", "--all", "--namespace", NAMESPACE, "--output", "json"))
    status = next((release["status"] for release in releases if release["name"] == NAME), "")
    if status.startswith(("pending", "uninstalling")):
        _helm("uninstall", NAME, "--namespace", NAMESPACE, "--wait", "--no-hooks")
        return False
    return bool(status)


def _keys() -> dict[str, str]:
    values = json.loads(_helm("get", "values", NAME, "--namespace", NAMESPACE, "--output", "json"))
    keys: dict[str, str] = (values or {}).get("auth", {}).get("apiKeys", {})
    return keys


@contextlib.contextmanager
def _url() -> Iterator[str]:
    """Where it answers: as told, or at the nodes' port, or through a tunnel."""
    if given := os.environ.get("CODESESSION_E2E_URL"):
        yield given.rstrip("/")
        return
    service = kubectl.get("services", f"{NAME}-api", NAMESPACE) or {}
    if address := _node_port(service["spec"]["ports"][0]["nodePort"]):
        yield f"http://{address}"
        return
    with kubectl.forwarded_service(f"{NAME}-api", NAMESPACE, 80) as tunnel:
        yield f"http://{tunnel}"


def _node_port(port: int, seconds: float = 60) -> str | None:
    """Where the nodes' port answers, if this machine can reach the nodes. A new Service takes kube-proxy a
    moment; a tunnel instead would end with the one replica that it leads to."""
    addresses = node_addresses()
    deadline = time.monotonic() + seconds
    while True:
        for address in addresses:
            if connects(address, port):
                return f"{address}:{port}"
        if time.monotonic() > deadline:
            return None
        time.sleep(0.5)


def node_addresses() -> list[str]:
    nodes = json.loads(kubectl.out("get", "nodes", "-o", "json"))["items"]
    return [
        entry["address"]
        for node in nodes
        for entry in node["status"]["addresses"]
        if entry["type"] == "InternalIP"
    ]


def connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return False
    return True


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    # Not through a proxy of this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _helm(*arguments: str, stdin: str | None = None) -> str:
    program = shutil.which("helm") or str(binary("helm"))
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TargetError(f"helm {arguments[0]}: {done.stderr.strip()[-800:]}")
    return done.stdout


def _visibly(command: list[str]) -> None:
    if subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode != 0:
        raise TargetError(f"`{' '.join(command)}` failed")
