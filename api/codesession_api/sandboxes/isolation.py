# ruff: noqa: S108  (paths of the sandbox, not of the host)
"""What a local sandbox sees of the host, and how bubblewrap, gVisor or nothing is asked for it.

Pure: every function builds an argument list or a document out of a `Plan`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

WORKSPACE = "/mnt/data"
HOME = "/tmp"
UID = 1000
"""The user of the code inside."""
OUTER_UID = 64_999
"""Who that is on a host whose root starts the sandboxes: nobody that any distribution gives a name."""
TMP_BYTES = 512 * 1024 * 1024
SHM_BYTES = 64 * 1024 * 1024

SHM = "/dev/shm"
IN_MEMORY = (HOME, SHM)
"""Directories that are written into the host's memory."""

Words = Sequence[str]


class Isolation(enum.StrEnum):
    """What stands between the code and the host."""

    GVISOR = "gvisor"
    BUBBLEWRAP = "bubblewrap"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or directory of the host, read-only."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Plan:
    """One sandbox: the program, and all of the host that it may see."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    workspace: str
    """The host's directory that is the sandbox's `/mnt/data`, the one thing it may write to."""
    mounts: Sequence[Mount]
    """A later one may lie inside an earlier one."""
    links: Mapping[str, str]
    """Symbolic links of the sandbox's root: path to target."""


def bubblewrap(plan: Plan, *, binary: str, as_root: bool, seccomp: int) -> list[str]:
    """The arguments of `bwrap`, which is at `binary`, started by root or by anyone else.

    `seccomp` is the descriptor that it reads its filter from; that is applied last, to the program alone.

    A user namespace of root's would map to the host's root, which owns the files of /proc/sys (core_pattern
    among them). So root's bwrap makes no such namespace, becomes another user, and that user makes one. PID 1
    stays root's: the signal of --die-with-parent is sent in the name of root without capabilities, which may
    not kill another user's process.
    """
    filtered = ("--seccomp", str(seccomp))
    if as_root:
        return [
            *_bwrap(binary, [*_AS_ROOT, *_view(plan)]),
            *_LEAVE_ROOT,
            *_bwrap("bwrap", [*_USER, ("--dev-bind", "/", "/"), filtered]),
            *plan.command,
        ]
    return [*_bwrap(binary, [*_USER, *_NAMESPACES, ("--as-pid-1",), *_view(plan), filtered]), *plan.command]


_USER: list[Words] = [
    ("--unshare-user",),
    ("--disable-userns",),
    ("--uid", str(UID)),
    ("--gid", str(UID)),
    ("--cap-drop", "ALL"),
    ("--die-with-parent",),
    ("--chdir", WORKSPACE),
]
_NAMESPACES: list[Words] = [
    *(("--unshare-" + name,) for name in ("ipc", "pid", "net", "uts", "cgroup-try")),
    ("--hostname", "sandbox"),
    ("--new-session",),
]
_AS_ROOT: list[Words] = [
    *_NAMESPACES,
    ("--die-with-parent",),
    ("--cap-drop", "ALL"),
    *(("--cap-add", name) for name in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")),
]
_LEAVE_ROOT = (
    "setpriv",
    f"--reuid={OUTER_UID}",
    f"--regid={OUTER_UID}",
    "--clear-groups",
    "--inh-caps=-all",
    "--ambient-caps=-all",
    "--bounding-set=-all",
    "--no-new-privs",
)


def _view(plan: Plan) -> list[Words]:
    """The file system."""
    return [
        ("--clearenv",),
        *(("--setenv", name, value) for name, value in plan.environment.items()),
        *(("--symlink", target, path) for path, target in plan.links.items()),
        *(("--perms", "0755", "--dir", path) for path in parents(plan)),
        *(("--ro-bind", mount.source, mount.target) for mount in plan.mounts),
        ("--proc", "/proc"),
        ("--dev", "/dev"),
        ("--perms", "1777", "--size", str(SHM_BYTES), "--tmpfs", SHM),
        ("--perms", "1777", "--size", str(TMP_BYTES), "--tmpfs", HOME),
        ("--bind", plan.workspace, WORKSPACE),
        ("--remount-ro", "/dev"),
        ("--remount-ro", "/"),
    ]


def _bwrap(binary: str, options: Sequence[Words]) -> list[str]:
    return [binary, *(word for option in options for word in option), "--"]


def parents(plan: Plan) -> list[str]:
    """The directories that lead to the mounts, outermost first."""
    targets = [*(mount.target for mount in plan.mounts), WORKSPACE]
    found = {str(parent) for target in targets for parent in PurePosixPath(target).parents}
    return sorted(found - {"/"} - {mount.target for mount in plan.mounts})


def runsc(plan: Plan, *, binary: str, as_root: bool, state: str, bundle: str, name: str) -> list[str]:
    """The arguments of `runsc run`; `state` is its own directory, `bundle` has `oci_spec` as config.json."""
    # What root's runsc mounts into `state` goes away with this mount namespace.
    own_mounts = ("unshare", "--mount", "--propagation=private") if as_root else ()
    return [
        *("setpriv", "--pdeathsig=KILL"),
        *own_mounts,
        binary,
        f"--rootless={str(not as_root).lower()}",
        f"--root={state}",
        "--platform=systrap",
        "--network=none",
        "--ignore-cgroups",
        "--overlay2=none",
        "--file-access-mounts=exclusive",
        "run",
        f"--bundle={bundle}",
        name,
    ]


def oci_spec(plan: Plan, *, root: str, as_root: bool) -> dict[str, Any]:
    """The OCI runtime document; `root` is a directory with the plan's mount points and links."""
    # Without root there is but one user to map: 0 inside, still without capabilities, is the server's own.
    user = UID if as_root else 0
    return {
        "ociVersion": "1.0.2",
        "hostname": "sandbox",
        "root": {"path": root, "readonly": True},
        "process": {
            "user": {"uid": user, "gid": user},
            "args": list(plan.command),
            "env": [f"{name}={value}" for name, value in plan.environment.items()],
            "cwd": WORKSPACE,
            "noNewPrivileges": True,
            "capabilities": {},
        },
        "mounts": [
            *(_bind(mount.source, mount.target, "ro") for mount in plan.mounts),
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            _tmpfs(SHM, SHM_BYTES),
            _tmpfs(HOME, TMP_BYTES),
            _bind(plan.workspace, WORKSPACE, "rw"),
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
    }


def mount_points(plan: Plan) -> list[str]:
    """The directories that the root of `oci_spec` must have; files of it are mounted into these."""
    return [*(mount.target for mount in plan.mounts), "/proc", "/dev", SHM, HOME, WORKSPACE]


def _bind(source: str, target: str, mode: str) -> dict[str, Any]:
    options = ["rbind", mode, "nosuid", "nodev"]
    return {"destination": target, "type": "bind", "source": source, "options": options}


def _tmpfs(target: str, size: int) -> dict[str, Any]:
    options = ["nosuid", "nodev", "mode=1777", f"size={size}"]
    return {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options}


def search_path(directories: Sequence[Path]) -> str:
    return ":".join([*map(str, directories), "/usr/local/bin", "/usr/bin", "/bin"])
