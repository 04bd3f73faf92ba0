"""The cluster of KUBECONFIG, through kubectl."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import threading
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
    """`host:port` on this machine that leads to one pod, as long as that pod lives."""
    with _port_forward(what, namespace, f":{port}") as process:
        yield _announced(process, what)


@contextlib.contextmanager
def forwarded_service(name: str, namespace: str, port: int) -> Iterator[str]:
    """`host:port` on this machine that leads to a Service. kubectl ends a tunnel with the one pod that it
    chose at its beginning: the next pod is taken at the same port then."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        local = probe.getsockname()[1]
    closed = threading.Event()

    def keep() -> None:
        while not closed.is_set():
            # What it says of every connection is not read, and must not fill a pipe.
            with _port_forward(
                f"service/{name}", namespace, f"{local}:{port}", subprocess.DEVNULL
            ) as process:
                while not closed.wait(0.2) and process.poll() is None:
                    pass

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        yield f"127.0.0.1:{local}"
    finally:
        closed.set()
        keeper.join()


@contextlib.contextmanager
def _port_forward(
    what: str, namespace: str, ports: str, output: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    command = [program(), "port-forward", "-n", namespace, what, ports]
    with subprocess.Popen(command, stdout=output, stderr=output, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def _announced(process: subprocess.Popen[str], what: str) -> str:
    """Where the tunnel begins, once it is open; TargetError with kubectl's complaint."""
    assert process.stdout is not None
    assert process.stderr is not None
    found = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
    if not found:
        process.terminate()
        raise TargetError(f"port-forward to {what}: {process.stderr.read().strip()}")
    return found[0]
