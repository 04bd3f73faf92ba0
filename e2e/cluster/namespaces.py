"""The namespaces of a cluster, of the network and of mounts, and the link from the host to the first.

Ports, iptables rules, the mounts of pods and the folders that are built into Kubernetes' programs are all
inside: the host sees none of them, two clusters share none, and they end with the namespaces.
"""

from __future__ import annotations

import contextlib
import ipaddress
from pathlib import Path

from e2e.cluster import instance as names
from e2e.cluster.errors import ClusterError
from e2e.cluster.instance import Instance
from e2e.cluster.shell import run, succeeds

# Of containerd and its shims, Calico, CNI and the kubelet: no option moves these.
_BUILT_IN = ("/run/containerd", "/var/lib/calico", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers")


def enter(instance: Instance) -> list[str]:
    """The beginning of a command line that runs inside.

    Not `ip netns exec`: that remounts /sys, and the kubelet then finds no control groups.
    """
    return ["nsenter", f"--mount={_mounts(instance.state)}", f"--net={_network(instance.id)}"]


def exist(instance: Instance) -> bool:
    return succeeds([*enter(instance), "true"])


def networks() -> list[ipaddress.IPv4Network]:
    """Networks that some link or route of the host already has."""
    words = run(["ip", "-4", "route", "show"]).split() + run(["ip", "-4", "-o", "addr"]).split()
    found = []
    for word in words:
        with contextlib.suppress(ValueError):
            found.append(ipaddress.IPv4Network(word, strict=False))
    return [network for network in found if network.prefixlen]


def add_network(instance: Instance) -> None:
    name, link, peer = instance.name, instance.host_link, instance.node_link
    run(["ip", "netns", "add", name])
    run(["ip", "link", "add", link, "type", "veth", "peer", "name", peer, "netns", name])
    run(["ip", "addr", "add", f"{instance.host_address}/24", "dev", link])
    run(["ip", "link", "set", link, "up"])
    inside = ["ip", "-n", name]
    run([*inside, "link", "set", "lo", "up"])
    run([*inside, "addr", "add", f"{instance.node_address}/24", "dev", peer])
    run([*inside, "link", "set", peer, "up"])
    run([*inside, "route", "add", "default", "via", instance.host_address])
    run(["nsenter", f"--net={_network(instance.id)}", "sysctl", "-qw", "net.ipv4.ip_forward=1"])


def add_mounts(instance: Instance) -> None:
    """The host never sees what is mounted inside."""
    handle = _mounts(instance.state)
    handle.parent.mkdir()
    # The file that holds a mount namespace has to lie on a mount that the namespace gets no copy of.
    run(["mount", "--bind", str(handle.parent), str(handle.parent)])
    run(["mount", "--make-private", str(handle.parent)])
    handle.touch()
    run(["unshare", f"--mount={handle}", "--propagation=slave", "mount", "--make-rshared", "/"])
    for path in _BUILT_IN:
        own = instance.state / "built-in" / Path(path).name
        own.mkdir(parents=True, exist_ok=True)
        Path(path).mkdir(parents=True, exist_ok=True)
        run(["nsenter", f"--mount={handle}", "mount", "--bind", str(own), path])


def processes(id_: str) -> set[int]:
    """Pids of those in the network namespace itself; pods have their own."""
    if not _network(id_).exists():
        return set()
    return {int(pid) for pid in run(["ip", "netns", "pids", names.name(id_)]).split()}


def remove(id_: str) -> None:
    """Both namespaces and the link; their processes must have ended. Raises ClusterError."""
    state = names.state(id_)
    for point in _mounted_below(state):
        run(["umount", "--lazy", point])
    if _mounted_below(state):
        raise ClusterError(f"something is still mounted below {state}")
    link = Path("/sys/class/net") / names.host_link(id_)
    # A namespace that is ending takes its links away at a moment of its own, perhaps in the middle of this.
    if not succeeds(["ip", "link", "delete", link.name]) and link.exists():
        raise ClusterError(f"the link {link.name} cannot be deleted")
    if _network(id_).exists():
        run(["ip", "netns", "delete", names.name(id_)])


def remove_mount_points() -> None:
    """The empty folders that namespaces were mounted on. Only when no cluster is left on the machine."""
    for path in _BUILT_IN:
        with contextlib.suppress(OSError):
            Path(path).rmdir()


def _network(id_: str) -> Path:
    return Path("/run/netns") / names.name(id_)


def _mounts(state: Path) -> Path:
    return state / "namespaces" / "mounts"


def _mounted_below(state: Path) -> list[str]:
    """Deepest first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return sorted((point for point in points if point.startswith(f"{state}/")), reverse=True)
