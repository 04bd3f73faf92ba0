"""The cluster as a `kind` node, where a Docker engine answers.

Not exercised on machines without Docker, this project's own CI included: it is kept to what kind's
documentation shows. The node gets runsc and its shim from the cache. The CNI is kind's own, which enforces
NetworkPolicies since 0.24; the suite proves enforcement before it relies on it.
"""

from __future__ import annotations

import os
from pathlib import Path

from e2e.cluster import cache
from e2e.cluster.instance import instance_id
from e2e.cluster.progress import step
from e2e.cluster.shell import run, succeeds

VERSION = "v0.33.0"
CHECKOUT = Path(__file__).resolve().parents[2]
MANIFESTS = Path(__file__).parent / "manifests"
_RUNTIME = """
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runsc]
  runtime_type = "io.containerd.runsc.v1"
"""
_CONFIG = f"""
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
  - |-
    {_RUNTIME.strip().replace(chr(10), chr(10) + "    ")}
"""


def available() -> bool:
    return succeeds(["docker", "info"])


def name() -> str:
    return f"codesession-{instance_id(CHECKOUT)}"


def kubeconfig() -> Path:
    return cache.directory() / "kind" / f"{name()}.kubeconfig"


def is_up() -> bool:
    return kubeconfig().exists() and succeeds(_kubectl("get", "--raw", "/readyz"))


def up() -> None:
    if is_up():
        return
    kind = _kind()
    kubeconfig().parent.mkdir(parents=True, exist_ok=True)
    with step("kind cluster"):
        if name() in run([kind, "get", "clusters"]).split():
            run([kind, "delete", "cluster", "--name", name()])
        options = ["--name", name(), f"--kubeconfig={kubeconfig()}", "--config", "-", "--wait", "120s"]
        run([kind, "create", "cluster", *options], stdin=_CONFIG)
    with step("gVisor on the node"):
        for binary in ("runsc", "containerd-shim-runsc-v1"):
            run(["docker", "cp", cache.binary(binary), f"{_node()}:/usr/local/bin/{binary}"])
        run(["docker", "exec", _node(), "systemctl", "restart", "containerd"])
        run(_kubectl("apply", "-f", str(MANIFESTS / "runtimeclass.yaml")))


def down() -> None:
    run([_kind(), "delete", "cluster", "--name", name(), "--kubeconfig", kubeconfig()])


def load(archive: Path) -> None:
    with step(f"load {archive.name}"):
        run([_kind(), "load", "image-archive", archive, "--name", name()])


def node_address() -> str:
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return run(["docker", "inspect", "--format", template, _node()]).strip()


def _node() -> str:
    return f"{name()}-control-plane"


def _kubectl(*words: str) -> list[str | Path]:
    return [cache.binary("kubectl"), f"--kubeconfig={kubeconfig()}", *words]


def _kind() -> Path:
    target = cache.directory() / "bin" / f"kind-{VERSION}" / "kind"
    if not target.exists():
        with step(f"go install kind {VERSION}"):
            environment = os.environ | {"GOBIN": str(target.parent)}
            run(["go", "install", f"sigs.k8s.io/kind@{VERSION}"], env=environment)
    return target
