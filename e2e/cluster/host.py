"""What a cluster takes of the machine: a network namespace, a link, a control group, mounts."""

from __future__ import annotations

import ipaddress
import os
import shutil
import time
from pathlib import Path

from e2e.cluster import daemons
from e2e.cluster.instance import Instance
from e2e.cluster.shell import run, succeeds

_LOG_LINKS = Path("/var/log/containers")
_CNI_RESULTS = Path("/var/lib/cni/results")


def networks() -> list[ipaddress.IPv4Network]:
    """Networks that some link or route of the host already has."""
    words = run(["ip", "-4", "route", "show"]).split() + run(["ip", "-4", "-o", "addr"]).split()
    found = []
    for word in words:
        try:
            network = ipaddress.IPv4Network(word, strict=False)
        except ValueError:
            continue
        if network.prefixlen:
            found.append(network)
    return found


def add_network(instance: Instance) -> None:
    """A namespace of its own: iptables rules and ports never touch the host, and all goes away with it."""
    name, link, peer = instance.name, instance.host_link, instance.node_link
    if Path(f"/run/netns/{name}").exists():
        return
    run(["ip", "netns", "add", name])
    run(["ip", "link", "add", link, "type", "veth", "peer", "name", peer, "netns", name])
    run(["ip", "addr", "add", f"{instance.host_address}/24", "dev", link])
    run(["ip", "link", "set", link, "up"])
    inside = ["ip", "-n", name]
    run([*inside, "link", "set", "lo", "up"])
    run([*inside, "addr", "add", f"{instance.node_address}/24", "dev", peer])
    run([*inside, "link", "set", peer, "up"])
    run([*inside, "route", "add", "default", "via", instance.host_address])
    run(["nsenter", f"--net=/run/netns/{name}", "sysctl", "-qw", "net.ipv4.ip_forward=1"])


def add_cgroups(instance: Instance) -> None:
    for root in _cgroup_roots():
        (root / instance.name).mkdir(exist_ok=True)


def release(id_: str, name: str, host_link: str, state: Path) -> None:
    """Give everything back, whatever state a killed run left it in; idempotent."""
    daemons.stop(state / "run")
    daemons.kill(_processes(name))
    _unlink_sockets(state)
    _unmount(state)
    if Path(f"/run/netns/{name}").exists():
        run(["ip", "netns", "delete", name])
    if succeeds(["ip", "link", "show", host_link]):
        run(["ip", "link", "delete", host_link])
    _remove_cgroups(name)
    for stray in _LOG_LINKS.glob("*"):
        if stray.is_symlink() and str(stray.readlink()).startswith(f"{state}/"):
            stray.unlink()
    for stray in _CNI_RESULTS.glob(f"{name}-*"):
        stray.unlink()
    if state.exists():
        shutil.rmtree(state)


def _processes(name: str) -> set[int]:
    """Those of the namespace (daemons, shims) and of the control group (sandboxes)."""
    pids: set[int] = set()
    if Path(f"/run/netns/{name}").exists():
        pids |= {int(pid) for pid in run(["ip", "netns", "pids", name]).split()}
    for root in _cgroup_roots():
        for file in (root / name).rglob("cgroup.procs"):
            pids |= {int(pid) for pid in file.read_text().split()}
    return pids - {0, os.getpid()}


def _unlink_sockets(state: Path) -> None:
    """Shims listen below /run/containerd, whatever state folder containerd was given."""
    for file in (state / "containerd-run").glob("io.containerd.runtime.v2.task/*/*/address"):
        Path(file.read_text().removeprefix("unix://")).unlink(missing_ok=True)


def _unmount(state: Path) -> None:
    """Everything mounted below `state`, the deepest first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    for point in sorted((p for p in points if p.startswith(f"{state}/")), reverse=True):
        run(["umount", "--lazy", point])


def _cgroup_roots() -> list[Path]:
    """The roots of the version 1 controllers, and of version 2 where it is mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    split = [line.split(" - ") for line in lines]
    return [Path(head.split()[4]) for head, tail in split if tail.split()[0] in ("cgroup", "cgroup2")]


def _remove_cgroups(name: str) -> None:
    """A group can be removed once the kernel has let go of its last process, which may take a moment."""
    for root in _cgroup_roots():
        groups = sorted((path for path in (root / name).rglob("*") if path.is_dir()), reverse=True)
        for group in [*groups, root / name]:
            _remove_cgroup(group)


def _remove_cgroup(group: Path) -> None:
    deadline = time.monotonic() + 5
    while group.is_dir():
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
