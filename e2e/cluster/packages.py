"""Debian packages that the node needs, installed where that can be done, named where it cannot."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from e2e.cluster.errors import ClusterError
from e2e.cluster.progress import step
from e2e.cluster.shell import run

BUSYBOX = "/bin/busybox"
_PACKAGES = {
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
    "sysctl": "procps",
    "openssl": "openssl",
    BUSYBOX: "busybox-static",
    "/usr/lib/cni/host-local": "containernetworking-plugins",
}


def ensure() -> None:
    """Raises ClusterError with the list when something is missing and cannot be installed."""
    missing = [package for tool, package in _PACKAGES.items() if not present(tool)]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ClusterError(f"missing on this machine: {', '.join(missing)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with step(f"apt-get install {' '.join(missing)}"):
        apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
        run([*apt, "update"], env=environment)
        run([*apt, "install", "-y", "--no-install-recommends", *missing], env=environment)


def present(tool: str) -> bool:
    if tool == BUSYBOX:
        # The package without "static" puts one there too, which runs in no image.
        return Path(tool).exists() and b"/ld-linux" not in Path(tool).read_bytes()
    return Path(tool).exists() if tool.startswith("/") else shutil.which(tool) is not None
