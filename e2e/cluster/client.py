"""kubectl and ctr against one cluster."""

from __future__ import annotations

from pathlib import Path

from e2e.cluster import cache
from e2e.cluster.instance import Instance
from e2e.cluster.shell import run, succeeds


def ready(instance: Instance) -> bool:
    return instance.cluster.kubeconfig.exists() and succeeds(_kubectl(instance, "get", "--raw", "/readyz"))


def apply(instance: Instance, *files: Path) -> None:
    """Raises ClusterError."""
    run(_apply(instance, *files))


def accepts(instance: Instance, file: Path) -> bool:
    """Apply, and whether that worked: no error where it may be too early."""
    return succeeds(_apply(instance, file))


def meets(instance: Instance, condition: str, what: str, namespace: str = "default") -> bool:
    """Whether an object has a condition now, or within a second."""
    options = [f"--for=condition={condition}", "--timeout=1s", f"--namespace={namespace}"]
    return succeeds(_kubectl(instance, "wait", *options, what))


def ctr(instance: Instance, *words: str | Path) -> str:
    """In the namespace of containerd that the kubelet uses. Raises ClusterError."""
    return run(_ctr(instance, *words))


def containerd_answers(instance: Instance) -> bool:
    return succeeds(_ctr(instance, "version"))


def _apply(instance: Instance, *files: Path) -> list[str | Path]:
    words = [word for file in files for word in ("-f", str(file))]
    return _kubectl(instance, "apply", "--server-side", "--force-conflicts", *words)


def _kubectl(instance: Instance, *words: str) -> list[str | Path]:
    return [cache.binary("kubectl"), f"--kubeconfig={instance.cluster.kubeconfig}", *words]


def _ctr(instance: Instance, *words: str | Path) -> list[str | Path]:
    socket = f"--address={instance.state}/containerd.sock"
    return [cache.binary("ctr"), socket, "--namespace=k8s.io", *words]
