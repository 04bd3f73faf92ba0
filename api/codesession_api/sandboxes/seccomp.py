"""Which system calls of a sandbox under bubblewrap reach the host's kernel: a program for its seccomp filter.

bubblewrap separates what code can name; the kernel that answers is the host's. So this refuses what Docker's
default profile refuses a container without capabilities (github.com/moby/profiles, seccomp/default.json),
written as a list of what is denied, as Flatpak has it for its bubblewrap (github.com/flatpak/flatpak,
common/flatpak-run.c). As there:

- `clone3` is ENOSYS, for a filter cannot read its flags: libraries then call `clone`, whose flags it can.
- A call that is newer than this list is ENOSYS, which callers take for an older kernel.
- Debuggers work: since Linux 4.8 ptrace is no way around a filter.

Docker permits families of sockets that no network namespace holds in, and Flatpak does not: here only those
are left that a program without a network has a use for.

The program is an array of `struct sock_filter` (linux/filter.h), which `bwrap --seccomp` reads. A call that
is allowed whatever its arguments are does not even run it: since 5.11 Linux keeps those in a bitmap.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""AUDIT_ARCH_* of linux/audit.h, by the machine's name. Both are little-endian."""

_ABSENT = -1
_CALLS: dict[str, tuple[int, int]] = {
    "_sysctl": (156, _ABSENT),
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_settime": (227, 112),
    "create_module": (174, _ABSENT),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "get_kernel_syms": (177, _ABSENT),
    "get_mempolicy": (239, 236),
    "init_module": (175, 105),
    "ioperm": (173, _ABSENT),
    "iopl": (172, _ABSENT),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "lsm_get_self_attr": (459, 459),
    "lsm_list_modules": (461, 461),
    "lsm_set_self_attr": (460, 460),
    "mbind": (237, 235),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, _ABSENT),
    "mount": (165, 40),
    "move_pages": (279, 239),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "query_module": (178, _ABSENT),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "sysfs": (139, _ABSENT),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, _ABSENT),
    "userfaultfd": (323, 282),
    "ustat": (136, _ABSENT),
    "vhangup": (153, 58),
}
"""What is not permitted: its number on x86-64 and on 64-bit ARM, from the kernel's own tables."""
_UNKNOWN: dict[str, int] = {
    "clone3": 435,
    "fsconfig": 431,
    "fsmount": 432,
    "fsopen": 430,
    "fspick": 433,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "io_uring_setup": 425,
    "mount_setattr": 442,
    "move_mount": 429,
    "open_tree": 428,
    "open_tree_attr": 467,
}
"""What is said not to exist, so that callers do without: they have one number everywhere."""
_CLONE = (56, 220)
_SOCKET = (41, 198)
_SOCKETPAIR = (53, 199)
_FIRST_NEWER = 470
"""Of the calls that this list does not know: Linux 6.18 ends with file_setattr, 469."""
_X32 = 0x40000000
"""The bit of a number that asks for the x32 ABI, which shares an architecture with x86-64."""

NAMESPACES = 0x7E020000
"""CLONE_NEW* of clone's flags: mount, cgroup, uts, ipc, user, pid, net."""
FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000

_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Offsets in `struct seccomp_data`; of an argument, its lower half's: the kernel reads no more of these."""

Instruction = tuple[int, int, int, int]
"""Operation, jumps if true and if false (instructions to skip), and constant."""


class UnknownMachineError(Exception):
    """There are no numbers for this machine's system calls."""


def program(machine: str) -> bytes:
    """The filter for `machine`, as platform.machine() has it. Raises UnknownMachineError."""
    if machine not in ARCHITECTURES:
        raise UnknownMachineError(f"no system call filter for {machine}")
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in _instructions(machine))


def denied(machine: str) -> dict[str, tuple[int, int]]:
    """The number and the errno of each call that is refused whatever its arguments are."""
    column = list(ARCHITECTURES).index(machine)
    refused = {name: (numbers[column], errno.EPERM) for name, numbers in _CALLS.items()}
    missing = {name: (number, errno.ENOSYS) for name, number in _UNKNOWN.items()}
    return {name: call for name, call in (refused | missing).items() if call[0] != _ABSENT}


def _instructions(machine: str) -> Iterator[Instruction]:
    column = list(ARCHITECTURES).index(machine)
    yield _load(_ARCHITECTURE)
    yield from _unless_equal(ARCHITECTURES[machine], KILL_PROCESS)
    yield _load(_NUMBER)
    if machine == "x86_64":
        yield from _if_at_least(_X32, KILL_PROCESS)
    yield from _if_at_least(_FIRST_NEWER, _ERRNO | errno.ENOSYS)
    for number, error in denied(machine).values():
        yield from _if_equal(number, _ERRNO | error)
    yield from _on(_CLONE[column], _no_namespaces())
    for call in (_SOCKET, _SOCKETPAIR):
        yield from _on(call[column], _known_families())
    yield _return(ALLOW)


def _on(number: int, judgement: list[Instruction]) -> Iterator[Instruction]:
    """`judgement` of the call with that number; it must end with a return."""
    yield (_JUMP_IF_EQUAL, 0, len(judgement), number)
    yield from judgement


def _no_namespaces() -> list[Instruction]:
    return [
        _load(_FIRST_ARGUMENT),
        (_JUMP_IF_ANY_BIT, 0, 1, NAMESPACES),
        _return(_ERRNO | errno.EPERM),
        _return(ALLOW),
    ]


def _known_families() -> list[Instruction]:
    allowed = [instruction for family in FAMILIES for instruction in _if_equal(family, ALLOW)]
    return [_load(_FIRST_ARGUMENT), *allowed, _return(_ERRNO | errno.EAFNOSUPPORT)]


# BPF_LD | BPF_W | BPF_ABS, BPF_RET | BPF_K, BPF_JMP | BPF_… | BPF_K of linux/bpf_common.h
_LOAD, _RETURN = 0x20, 0x06
_JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _JUMP_IF_ANY_BIT = 0x15, 0x35, 0x45


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _return(action: int) -> Instruction:
    return (_RETURN, 0, 0, action)


def _if_equal(value: int, action: int) -> list[Instruction]:
    return [(_JUMP_IF_EQUAL, 0, 1, value), _return(action)]


def _unless_equal(value: int, action: int) -> list[Instruction]:
    return [(_JUMP_IF_EQUAL, 1, 0, value), _return(action)]


def _if_at_least(value: int, action: int) -> list[Instruction]:
    return [(_JUMP_IF_AT_LEAST, 0, 1, value), _return(action)]
