"""Processes that outlive the command that starts them, each known by its pid and start time."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from e2e.cluster import cgroups, namespaces
from e2e.cluster.controlplane import Daemon
from e2e.cluster.errors import ClusterError
from e2e.cluster.instance import Instance
from e2e.cluster.shell import run

# CNI plugins and containerd look for these on the PATH.
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The shell moves itself into the control groups before it forks, so that nothing is ever outside them; and it
# ends at once, so that the daemon is nobody's child here.
_SPAWN = """set -e
for group in $CGROUPS; do echo $$ >"$group/cgroup.procs"; done
unset CGROUPS
"$@" >>"$0" 2>&1 </dev/null &
echo $!
"""


def start(instance: Instance, daemon: Daemon, binary: Path) -> None:
    """Start it inside the cluster's namespaces unless it runs already; its output goes to log/."""
    state = instance.state
    record = state / "run" / daemon.binary
    if alive(record):
        return
    groups = " ".join(str(group) for group in cgroups.add(instance.name))
    environment = {
        "PATH": f"{state}/bin:{_SYSTEM_PATH}",
        "HOME": str(state),
        "CGROUPS": groups,
        **daemon.environment,
    }
    shell = ["/bin/sh", "-c", _SPAWN, str(log(state, daemon.binary))]
    command = [*shell, *namespaces.enter(instance), str(binary), *daemon.words()]
    pid = int(run(command, cwd=state, env=environment, new_session=True))
    record.parent.mkdir(exist_ok=True)
    record.write_text(f"{pid} {started(pid)}")


def log(state: Path, name: str) -> Path:
    return state / "log" / f"{name}.log"


def dead(state: Path) -> list[str]:
    """Names of the daemons that were started and have ended."""
    return [record.name for record in sorted((state / "run").glob("*")) if not alive(record)]


def forget_dead(state: Path) -> None:
    """So that `until` speaks up only for those that end from now on."""
    for name in dead(state):
        (state / "run" / name).unlink()


def alive(record: Path) -> bool:
    """Whether the recorded process is still that process."""
    try:
        pid, start_time = record.read_text().split()
    except (FileNotFoundError, ValueError):
        return False
    return started(int(pid)) == start_time


def started(pid: int) -> str | None:
    """Start time in clock ticks since boot; None for a process that is gone or a zombie.

    While threads of a zombie end they hold its files, ports too.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" and len(threads) <= 1 else fields[19]


def until(state: Path, what: str, done: Callable[[], bool], seconds: float = 120) -> None:
    """Wait. Raises ClusterError after `seconds`, or at once when a daemon ends."""
    deadline = time.monotonic() + seconds
    while not done():
        for name in dead(state):
            tail = log(state, name).read_text(errors="replace").splitlines()[-3:]
            raise ClusterError("\n".join([f"{name} has ended; its log says:", *tail]))
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} was not there after {seconds:.0f} s: see {state / 'log'}")
        time.sleep(0.1)


def kill(find: Callable[[], set[int]], patience: float = 10.0) -> None:
    """KILL what is found until nothing is: what is dying may still start something. Raises ClusterError."""
    deadline = time.monotonic() + patience
    while pids := {pid for pid in find() if started(pid)}:
        if time.monotonic() > deadline:
            raise ClusterError(f"processes do not end: {sorted(pids)}")
        for pid in pids - {os.getpid()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def end(state: Path, name: str) -> None:
    """KILL one, as a crash does. Raises ClusterError."""
    record = state / "run" / name
    pid = int(record.read_text().split()[0])
    kill(lambda: {pid} if alive(record) else set())


def recorded(state: Path) -> set[int]:
    """Pids of the daemons that are alive."""
    records: Sequence[Path] = list((state / "run").glob("*"))
    return {int(record.read_text().split()[0]) for record in records if alive(record)}
