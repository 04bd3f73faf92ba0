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
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Release:
    """One environment and the API that serves it. `name` is of the release and of its namespace."""

    name: str
    sandboxes: str
    values: Json
    """Beside names and keys."""
    warm: int
    images: tuple[str, ...] = ()
    """Of `images.build`, what it needs beside those that are always there."""

    def warm_sessions(self) -> bool:
        """Whether the pool is full."""
        sessions = [
            item for item in kubectl.items("codesessions", self.sandboxes) if "claim" not in item["spec"]
        ]
        ready = [item for item in sessions if item.get("status", {}).get("phase") == "Ready"]
        return len(ready) >= self.warm


USUAL = Release(
    NAME,
    SANDBOXES,
    {
        "api": {
            "replicas": 2,
            "service": {"type": "NodePort"},
            "settings": {"playground": True},
            "tenantEnvironments": {TENANTS[-1]: OTHER_ENVIRONMENT},
        },
        "environments": {
            "default": {"warmPool": {"replicas": WARM}},
            OTHER_ENVIRONMENT: {"image": SANDBOX_IMAGE, "warmPool": {"replicas": 0}},
        },
        "minio": {"storage": {"size": "5Gi"}},
    },
    WARM,
)


def is_this_machines() -> bool:
    """Whether KUBECONFIG is the cluster of `e2e.cluster`, which tests may do anything to."""
    done = subprocess.run([sys.executable, "-m", "e2e.cluster", "kubeconfig"], capture_output=True, cwd=ROOT)
    ours = Path(done.stdout.decode().strip() or "/dev/null")
    return done.returncode == 0 and Path(os.environ.get("KUBECONFIG", "")).resolve() == ours.resolve()


@contextlib.contextmanager
def installed(release: Release = USUAL) -> Iterator[Target]:
    """The release, fresh: of this checkout's images and definitions, and with no session of before.

    On another cluster than this machine's own the images have to be there; CODESESSION_E2E_VALUES names a
    file of values for it, CODESESSION_E2E_URL where the API of the usual release answers.
    """
    if not os.environ.get("KUBECONFIG"):
        raise TargetError("KUBECONFIG is not set: `make e2e` brings a cluster up and sets it")
    if is_this_machines():
        _visibly([sys.executable, "-m", "images.build", "--load"])
        if release.images:
            _visibly([sys.executable, "-m", "images.build", "--load", "--only", *release.images])
    keys = _install(release)
    kubectl.out("delete", "codesessions", "--all", "-n", release.sandboxes)
    with _url(release) as url:
        eventually(lambda: answers(f"{url}/readyz"), f"{url}/readyz", seconds=120)
        eventually(release.warm_sessions, "warm sessions", seconds=180)
        yield Target("cluster", url, keys)


def warm_sessions() -> bool:
    """Whether the pool of the usual release is full."""
    return USUAL.warm_sessions()


def account(component: str) -> str:
    """The user that the release's API or operator is: policies let nobody else do some of what they do."""
    return f"system:serviceaccount:{NAMESPACE}:{NAME}-{component}"


def api_pods() -> list[Json]:
    return kubectl.running(NAMESPACE, "app.kubernetes.io/component=api")


def _install(release: Release) -> tuple[str, ...]:
    """The tenants' keys; those of a release that is there already are kept."""
    existing = _abandoned_or_none(release)
    definitions.install()
    keys = _keys(release) if existing else {}
    keys = {tenant: keys.get(tenant) or secrets.token_urlsafe(24) for tenant in TENANTS}
    values = ["-f", "-"]
    if extra := os.environ.get("CODESESSION_E2E_VALUES"):
        values += ["-f", extra]
    place = [release.name, str(CHART), "--namespace", release.name, "--create-namespace"]
    _helm("upgrade", "--install", *place, *values, stdin=json.dumps(_values(release, keys)))
    if existing:
        # The tag of the images stays the same, so that helm sees nothing to restart.
        kubectl.out("rollout", "restart", "deployment", "-n", release.name)
    for component in ("minio", "operator", "api"):
        deployment = f"deployment/{release.name}-{component}"
        kubectl.out("rollout", "status", deployment, "-n", release.name, "--timeout=180s")
    return tuple(keys.values())


def _values(release: Release, keys: dict[str, str]) -> Json:
    auth = {"mode": "api-key", "apiKeys": keys}
    return {"sandboxNamespace": {"name": release.sandboxes}, "auth": auth, **release.values}


def _abandoned_or_none(release: Release) -> bool:
    """Whether the release is there. One that a killed run left half made is removed first."""
    releases = json.loads(_helm("list", "--all", "--namespace", release.name, "--output", "json"))
    status = next((each["status"] for each in releases if each["name"] == release.name), "")
    if status.startswith(("pending", "uninstalling")):
        _helm("uninstall", release.name, "--namespace", release.name, "--wait", "--no-hooks")
        return False
    return bool(status)


def _keys(release: Release) -> dict[str, str]:
    place = ["--namespace", release.name, "--output", "json"]
    values = json.loads(_helm("get", "values", release.name, *place))
    keys: dict[str, str] = (values or {}).get("auth", {}).get("apiKeys", {})
    return keys


@contextlib.contextmanager
def _url(release: Release) -> Iterator[str]:
    """Where it answers: as told, or at the nodes' port, or through a tunnel."""
    given = os.environ.get("CODESESSION_E2E_URL")
    if given and release is USUAL:
        yield given.rstrip("/")
        return
    service = kubectl.get("services", f"{release.name}-api", release.name) or {}
    if address := _node_port(service["spec"]["ports"][0]["nodePort"]):
        yield f"http://{address}"
        return
    with kubectl.forwarded_service(f"{release.name}-api", release.name, 80) as tunnel:
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
