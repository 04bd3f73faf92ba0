"""The cluster as a `kind` node, where a Docker engine answers.

Not exercised on machines without Docker, those of this project included: it is kept to what kind documents.
The node gets runsc and its shim from the cache. The CNI is kind's own, which enforces NetworkPolicies since
0.24; the suite proves enforcement before it relies on it.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from e2e.cluster import archives, cache, locks, packages
from e2e.cluster.errors import ClusterError
from e2e.cluster.instance import CHECKOUT, Cluster, instance_id
from e2e.cluster.instance import name as instance_name
from e2e.cluster.progress import step
from e2e.cluster.shell import run, succeeds

VERSION = "v0.33.0"
_MANIFESTS = Path(__file__).parent / "manifests"
_NAME = instance_name(instance_id(CHECKOUT))
_NODE = f"{_NAME}-control-plane"
# kind applies the patch that has the version of the node's own file and passes over the other.
CONFIG = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
  - |-
    version = 2
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsc]
      runtime_type = "io.containerd.runsc.v1"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsc.options]
      TypeUrl = "io.containerd.runsc.v1.options"
      ConfigPath = "/etc/containerd/runsc.toml"
  - |-
    version = 3
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runsc]
      runtime_type = "io.containerd.runsc.v1"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runsc.options]
      TypeUrl = "io.containerd.runsc.v1.options"
      ConfigPath = "/etc/containerd/runsc.toml"
"""
# The kubelet of a kind node names control groups as systemd does.
RUNSC = """[runsc_config]
platform = "systrap"
systemd-cgroup = "true"
"""


def available() -> bool:
    return succeeds(["docker", "info"])


def up() -> Cluster:
    with locks.held(Path(__file__).parent):
        if complaint():
            _create()
    return Cluster(_kubeconfig(), _address())


def down() -> None:
    with locks.held(Path(__file__).parent):
        run([_kind(), "delete", "cluster", "--name", _NAME, "--kubeconfig", _kubeconfig()])
        _kubeconfig().unlink(missing_ok=True)


def recorded() -> Cluster | None:
    return Cluster(_kubeconfig(), _address()) if _kubeconfig().exists() else None


def complaint() -> str | None:
    if not _kubeconfig().exists():
        return "down"
    return None if succeeds(_kubectl("get", "runtimeclass", "gvisor")) else "half-made or stopped"


def load(archive: Path) -> None:
    if recorded() is None:
        raise ClusterError("the cluster is not up")
    with step(f"load {archive.name}"):
        run([_kind(), "load", "image-archive", archive, "--name", _NAME])


def _create() -> None:
    _kubeconfig().parent.mkdir(parents=True, exist_ok=True)
    with step("kind cluster"):
        if _NAME in run([_kind(), "get", "clusters"]).split():
            run([_kind(), "delete", "cluster", "--name", _NAME])
        options = ["--name", _NAME, f"--kubeconfig={_kubeconfig()}", "--config", "-", "--wait", "120s"]
        run([_kind(), "create", "cluster", *options], stdin=CONFIG)
    with step("gVisor on the node"):
        for binary in ("runsc", "containerd-shim-runsc-v1"):
            run(["docker", "cp", cache.binary(binary), f"{_NODE}:/usr/local/bin/{binary}"])
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(RUNSC)
            file.flush()
            run(["docker", "cp", file.name, f"{_NODE}:/etc/containerd/runsc.toml"])
        run(["docker", "exec", _NODE, "systemctl", "restart", "containerd"])
        run(_kubectl("apply", "-f", str(_MANIFESTS / "runtimeclass.yaml")))
    if packages.present(packages.BUSYBOX):
        with tempfile.NamedTemporaryFile(suffix=".tar") as file:
            archives.write(archives.helper(), Path(file.name))
            load(Path(file.name))


def _kubeconfig() -> Path:
    return cache.directory() / "kind" / f"{_NAME}.kubeconfig"


def _address() -> str:
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return run(["docker", "inspect", "--format", template, _NODE]).strip()


def _kubectl(*words: str) -> list[str | Path]:
    return [cache.binary("kubectl"), f"--kubeconfig={_kubeconfig()}", *words]


def _kind() -> Path:
    folder = cache.directory() / "bin" / f"kind-{VERSION}"
    with locks.held(folder.with_name(f"{folder.name}.lock")):
        if not (folder / "kind").exists():
            with step(f"go install kind {VERSION}"):
                environment = os.environ | {"GOBIN": str(folder)}
                run(["go", "install", f"sigs.k8s.io/kind@{VERSION}"], env=environment)
    return folder / "kind"
