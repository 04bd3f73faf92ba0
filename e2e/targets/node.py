"""The node of this machine's own cluster from outside, for what no API of Kubernetes gives a test."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from e2e.cluster import bare, provider
from e2e.targets import release
from e2e.targets.kubectl import Json


def is_within_reach() -> bool:
    """Whether the node's processes are this machine's, and may be stopped."""
    return provider.choose() is bare and release.is_this_machines()


def restart_apiserver() -> None:
    """Kill the apiserver without a word and start it again; every stream through it is cut."""
    bare.restart_apiserver()


def restart_kubelet() -> None:
    """Kill the kubelet without a word and start it again: every exec stream is cut, and nothing else."""
    bare.stop_kubelet()
    bare.start_kubelet()


@contextlib.contextmanager
def lost() -> Iterator[None]:
    """The node says nothing any more, and its pods run on."""
    bare.stop_kubelet()
    try:
        yield
    finally:
        bare.start_kubelet()


def kill_processes(pod: Json) -> bool:
    """All of a pod's, at once, as the kernel does; whether there were any."""
    pids = bare.pod_processes(pod["metadata"]["uid"])
    _signal(pids, signal.SIGKILL)
    return bool(pids)


@contextlib.contextmanager
def stopped(pod: Json) -> Iterator[None]:
    """All processes of a pod stand still: it neither answers nor closes anything."""
    pids = bare.pod_processes(pod["metadata"]["uid"])
    assert pids
    _signal(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pids, signal.SIGCONT)


def cpu_seconds(pod: Json) -> float:
    """What the processes of a pod that live have used, gVisor's own among them."""
    ticks = 0
    for pid in bare.pod_processes(pod["metadata"]["uid"]):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
