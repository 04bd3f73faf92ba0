"""kubectl and ctr against one cluster."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from e2e.cluster import cache
from e2e.cluster.errors import ClusterError
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


def import_image(instance: Instance, label: str, write: Callable[[IO[bytes]], None]) -> None:
    """The image archive that `write` writes. Raises ClusterError."""
    words = [str(word) for word in _ctr(instance, "images", "import", f"--label={label}", "-")]
    with tempfile.TemporaryFile() as complaint:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaint)
        with contextlib.suppress(BrokenPipeError), process:
            assert process.stdin is not None
            write(process.stdin)
        if process.returncode != 0:
            complaint.seek(0)
            raise ClusterError(f"containerd took no image: {complaint.read().decode().strip()[-500:]}")


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
