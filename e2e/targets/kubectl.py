"""The cluster of KUBECONFIG, through kubectl."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from e2e.cluster.cache import binary
from e2e.targets import TargetError

Json = dict[str, Any]


def run(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """What kubectl did, whether well or not."""
    return subprocess.run([program(), *arguments], check=False, input=stdin, capture_output=True, text=True)


def out(*arguments: str, stdin: str | None = None) -> str:
    """Its stdout; TargetError with its complaint when it fails."""
    done = run(*arguments, stdin=stdin)
    if done.returncode != 0:
        raise TargetError(f"kubectl {' '.join(arguments[:4])}: {done.stderr.strip()[-800:]}")
    return done.stdout


def program() -> str:
    """The kubectl of the PATH, or else the one that the cluster's builder makes."""
    return shutil.which("kubectl") or str(binary("kubectl"))


def get(kind: str, name: str, namespace: str) -> Json | None:
    """None when there is no such object."""
    text = out("get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "json")
    found: Json | None = json.loads(text) if text else None
    return found


def items(kind: str, namespace: str, selector: str = "") -> list[Json]:
    found: list[Json] = json.loads(out("get", kind, "-n", namespace, "-l", selector, "-o", "json"))["items"]
    return found


def apply(*objects: Json) -> None:
    out("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def running(namespace: str, selector: str) -> list[Json]:
    """Pods that are ready and not on their way out."""
    return [pod for pod in items("pods", namespace, selector) if is_ready(pod)]


def is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", [])
    ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def kill(pod: Json) -> None:
    """Now, without a word to the processes in it."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    out("delete", "pod", name, "-n", namespace, "--force", "--grace-period=0")


@contextlib.contextmanager
def forwarded(what: str, namespace: str, port: int) -> Iterator[str]:
    """`host:port` on this machine that leads to a pod or Service."""
    command = [program(), "port-forward", "-n", namespace, what, f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
            if not found:
                process.terminate()
                assert process.stderr is not None
                raise TargetError(f"port-forward to {what}: {process.stderr.read().strip()}")
            yield found[0]
        finally:
            process.terminate()
