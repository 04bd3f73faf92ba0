"""What the sandbox's kernel is, as far as its limits depend on it."""

from __future__ import annotations

import os
from pathlib import Path

_GVISOR = "#1 SMP Sun Jan 10 15:06:54 PST 2016"
"""What gVisor calls its kernel, whatever its version."""
_INITIAL = ["0", "0", "4294967295"]
"""How the first user namespace maps users."""
_COUNTED_BY_NAMESPACE = (5, 14)
"""Linux since which RLIMIT_NPROC counts a user's threads in each user namespace apart."""


def is_gvisor() -> bool:
    """Whether the kernel is gVisor's, and so this sandbox's alone."""
    return os.uname().version == _GVISOR


def counts_sandbox() -> bool:
    """Whether RLIMIT_NPROC counts the threads of this sandbox and no others of its user."""
    return is_gvisor() or counts_namespace(os.uname().release, Path("/proc/self/uid_map").read_text())


def counts_namespace(release: str, users: str) -> bool:
    """Whether a Linux of this `release` does, where /proc/self/uid_map has these `users`."""
    major, minor, *_ = release.replace("-", ".").split(".")
    return (int(major), int(minor)) >= _COUNTED_BY_NAMESPACE and users.split() != _INITIAL
