"""Processes that outlive the command that starts them, each known by its pid and start time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from e2e.cluster.controlplane import Daemon
from e2e.cluster.instance import Instance

# CNI plugins and containerd look for these on the PATH.
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def start(instance: Instance, daemon: Daemon, binary: Path) -> None:
    """Start it in the cluster's network namespace unless it runs already; its output goes to log/."""
    state = instance.state
    record = state / "run" / daemon.binary
    if alive(record):
        return
    # Not `ip netns exec`: that remounts /sys, and the kubelet then finds no cgroups.
    command = ["nsenter", f"--net=/run/netns/{instance.name}", str(binary), *daemon.words()]
    environment = {
        "PATH": f"{state}/bin:{_SYSTEM_PATH}",
        "HOME": str(state),
        **daemon.environment,
    }
    with (state / "log" / f"{daemon.binary}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=state,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    record.parent.mkdir(exist_ok=True)
    record.write_text(f"{process.pid} {started(process.pid)}")


def alive(record: Path) -> bool:
    """Whether the recorded process is still that process."""
    try:
        pid, start_time = record.read_text().split()
    except (FileNotFoundError, ValueError):
        return False
    return started(int(pid)) == start_time


def started(pid: int) -> str | None:
    """Start time in clock ticks since boot; None for a process that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


def stop(records: Path, grace: float = 5.0) -> None:
    """End every recorded process: TERM, then KILL after `grace` seconds."""
    running = [record for record in sorted(records.glob("*")) if alive(record)]
    for record in running:
        _signal(record, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while any(alive(record) for record in running) and time.monotonic() < deadline:
        time.sleep(0.05)
    for record in running:
        _signal(record, signal.SIGKILL)


def kill(pids: set[int]) -> None:
    """KILL these and wait until they are gone; a process in the kernel's hands is given 10 s."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + 10
    while any(started(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)


def _signal(record: Path, number: int) -> None:
    if alive(record):
        os.kill(int(record.read_text().split()[0]), number)
