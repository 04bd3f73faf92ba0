"""The control groups of a cluster: one of its own in every hierarchy, so that no process of it gets lost."""

from __future__ import annotations

import time
from pathlib import Path

_DAEMONS = "daemons"


def add(name: str) -> list[Path]:
    """Make the groups and answer those that daemons are to run in; the kubelet makes those of pods."""
    groups = [root / name / _DAEMONS for root in _roots()]
    for group in groups:
        group.mkdir(parents=True, exist_ok=True)
    return [group for group in groups if not _needs_processors(group)]


def processes(name: str) -> set[int]:
    return {pid for root in _roots() for pid in _below(root / name)}


def of_pod(name: str, uid: str) -> set[int]:
    """Processes of a pod in whatever group of a hierarchy the kubelet made for it."""
    groups = (group for root in _roots() for group in (root / name).rglob(f"pod{uid}"))
    return {pid for group in groups for pid in _below(group)}


def remove(name: str, patience: float = 5.0) -> None:
    """Remove the empty groups; the kernel may hold on to one for a moment: `patience` seconds."""
    deadline = time.monotonic() + patience
    for root in _roots():
        groups = [path for path in (root / name).rglob("*") if path.is_dir()]
        for group in [*sorted(groups, reverse=True), root / name]:
            _remove(group, deadline)


def _below(group: Path) -> set[int]:
    files = group.rglob("cgroup.procs")
    return {int(pid) for file in files for pid in file.read_text().split()} - {0}


def _remove(group: Path, deadline: float) -> None:
    while group.is_dir():
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _needs_processors(group: Path) -> bool:
    """A `cpuset` of version 1 takes no process before the kubelet has given it processors."""
    return (group / "tasks").exists() and (group / "cpuset.cpus").exists()


def _roots() -> list[Path]:
    """Of the version 1 controllers, and of version 2 where it is mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    split = [line.split(" - ") for line in lines]
    return [Path(head.split()[4]) for head, tail in split if tail.split()[0] in ("cgroup", "cgroup2")]
