"""The node of this machine's own cluster from outside, for what no API of Kubernetes gives a test."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from e2e.cluster import bare, provider
from e2e.targets import release
from e2e.targets.kubectl import Json


def is_within_reach() -> bool:
    """Whether the node's processes are this machine's, and may be stopped."""
    return provider.choose() is bare and release.is_this_machines()


def cpu_seconds(pod: Json) -> float:
    """What the processes of a pod that live have used, gVisor's own among them."""
    ticks = 0
    for pid in bare.pod_processes(pod["metadata"]["uid"]):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
