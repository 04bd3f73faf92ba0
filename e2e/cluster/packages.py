"""Debian packages that the node needs, installed where that can be done, named where it cannot."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from e2e.cluster.errors import ClusterError
from e2e.cluster.progress import step
from e2e.cluster.shell import run

_PACKAGES = {
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "sysctl": "procps",
    "openssl": "openssl",
    "/bin/busybox": "busybox-static",
    "/usr/lib/cni/host-local": "containernetworking-plugins",
}


def ensure() -> None:
    """Raises ClusterError with the list when something is missing and cannot be installed."""
    missing = [package for tool, package in _PACKAGES.items() if not _present(tool)]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ClusterError(f"missing on this machine: {', '.join(missing)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with step(f"apt-get install {' '.join(missing)}"):
        run(["apt-get", "update", "-qq"], env=environment)
        run(["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing], env=environment)


def _present(tool: str) -> bool:
    return Path(tool).exists() if tool.startswith("/") else shutil.which(tool) is not None
