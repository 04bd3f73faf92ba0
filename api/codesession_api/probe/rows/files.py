"""What of a host's files, devices and sockets is there, and what of the cluster's secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection

from codesession_api.probe.finding import Finding, held, none_of, untold
from codesession_api.probe.lab import Facts, Lab
from codesession_api.probe.suite import Probe


class Files(Facts):
    mounts: list[list[str]]
    """Source, target, type, options of each."""
    written: list[str]
    refused: dict[str, str]
    """Directories, and why nothing could be made in them."""
    settings: list[str]
    """Of the kernel, that can be written."""
    present: list[str]
    devices: dict[str, str]
    disks: list[str]


class Variables(Facts):
    """Names only."""

    names: list[str]
    secret: list[str]
    """Those whose value looks like a secret."""


TOKENS = (
    "/var/run/secrets/kubernetes.io",
    "/run/secrets/kubernetes.io",
    "/var/run/secrets/eks.amazonaws.com",
    "/var/run/secrets/azure",
    "/run/secrets",
)
RUNTIMES = (
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/podman/podman.sock",
    "/var/run/cri-dockerd.sock",
    "/run/systemd/private",
    "/run/dbus/system_bus_socket",
)
HOSTS = (
    "/var/lib/kubelet",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/rancher",
    "/etc/kubernetes",
    "/etc/cni",
    "/var/log/pods",
    "/host",
    "/hostfs",
    "/rootfs",
    "/boot/grub",
    "/root/.ssh",
    "/root/.kube",
    "/root/.aws",
)
_OURS = {"/mnt/data", "/tmp", "/dev/shm", "/run/codesession"}  # noqa: S108 - the sandbox's
_DEVICES = re.compile(
    r"null|zero|full|random|urandom|tty|ptmx|console|std(in|out|err)|pts/(ptmx|\d+)|char/\d+:\d+|mqueue"
)
_GVISORS = re.compile(r"fuse|net/tun")
"""What gVisor's own kernel has of these is nothing of the host's."""
_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL|_DSN$|^KUBECONFIG$", re.I
)
_CLUSTER = re.compile(r"^KUBERNETES_|_SERVICE_(HOST|PORT)|_PORT_\d+_(TCP|UDP)|^CODESESSION_")


async def files(lab: Lab) -> Files:
    return await lab.looked(Files, "files", json.dumps([*TOKENS, *RUNTIMES, *HOSTS]))


async def variables(lab: Lab) -> Variables:
    return await lab.looked(Variables, "secrets")


def absent(paths: Collection[str]) -> Callable[[Files], Finding]:
    def judge(facts: Files) -> Finding:
        found = [path for path in facts.present if path in paths]
        return none_of(found, "there is", f"none of {len(paths)} places is there")

    return judge


def read_only(facts: Files) -> Finding:
    if not facts.refused and not facts.written:
        return untold("no directory could be tried")
    found = [path for path in facts.written if path not in _OURS]
    well = f"{len(facts.refused)} directories refuse, {len(facts.written)} of its own do not"
    return none_of([*found, *facts.settings], "it may write to", well)


def mounts(facts: Files) -> Finding:
    if not facts.mounts:
        return untold("the kernel lists no mounts")
    writable = [entry for entry in facts.mounts if len(entry) == 4 and "rw" in entry[3].split(",")]
    backed = [entry for entry in writable if entry[0].startswith("/") or entry[2] in _DISKS]
    found = [f"{target} ({kind} {source})" for source, target, kind, _ in backed if target not in _OURS]
    return none_of(
        found, "of a host it has, to write", f"{len(facts.mounts)} mounts, none of a host's to write"
    )


_DISKS = {"ext4", "xfs", "btrfs", "virtiofs", "nfs", "nfs4", "ceph", "9p", "overlay"}


def block_devices(facts: Files) -> Finding:
    found = [f"/dev/{name}" for name, kind in facts.devices.items() if kind.startswith("b")]
    return none_of([*found, *(f"/sys/block/{name}" for name in facts.disks)], "there is", "there are none")


def devices(facts: Files) -> Finding:
    if not facts.devices:
        return held("there are none")
    strange = [name for name in facts.devices if not _DEVICES.fullmatch(name)]
    ours = [name for name in strange if _GVISORS.fullmatch(name) and _is_gvisors(facts)]
    gpus = [name for name in strange if name.startswith(("nvidia", "dri/", "kfd"))]
    rest = [f"/dev/{name}" for name in strange if name not in (*ours, *gpus)]
    if gpus and not rest:
        return untold(f"there are those of a GPU, which the environment may have been given: {gpus[0]}")
    return none_of(rest, "there is", f"{len(facts.devices)}, all without a machine behind")


def _is_gvisors(facts: Files) -> bool:
    """Its mounts come from nowhere, and its /dev is of a kind that Linux has not."""
    return any(entry[1:3] == ["/dev", "dev"] for entry in facts.mounts)


def no_secrets(facts: Variables) -> Finding:
    found = dict.fromkeys([*facts.secret, *(name for name in facts.names if _SECRET.search(name))])
    return none_of(found, "there is", f"{len(facts.names)} names, none of a secret")


def no_addresses(facts: Variables) -> Finding:
    found = [name for name in facts.names if _CLUSTER.search(name)]
    return none_of(found, "there is", f"{len(facts.names)} names, none of the cluster's")


PROBES = (
    Probe("F-1", "the root file system and the kernel's settings are read-only", files, read_only),
    Probe("F-2", "nothing of a host is mounted to be written, but the workspace", files, mounts),
    Probe("F-3", "no file or directory of a node is there", files, absent(HOSTS)),
    Probe(
        "F-4", "no socket of a container runtime or of the node's services is there", files, absent(RUNTIMES)
    ),
    Probe("F-5", "no block device is there", files, block_devices),
    Probe("F-6", "no device of the machine is there", files, devices),
    Probe("E-1", "no service account token is there", files, absent(TOKENS)),
    Probe("E-2", "no environment variable carries a secret", variables, no_secrets),
    Probe("E-3", "no environment variable tells of the cluster or of the service", variables, no_addresses),
)
