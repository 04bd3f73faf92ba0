"""The system call filter, as the kernel would read it: an interpreter of classic BPF judges calls."""

from __future__ import annotations

import errno
import platform
import re
import socket
import struct
from pathlib import Path

import pytest

from codesession_api.sandboxes import seccomp
from codesession_api.sandboxes.seccomp import ALLOW, ARCHITECTURES, KILL_PROCESS

MACHINES = list(ARCHITECTURES)
HEADERS = {
    "x86_64": Path(f"/usr/include/{platform.machine()}-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
CLONE = {"x86_64": 56, "aarch64": 220}
SOCKET = {"x86_64": 41, "aarch64": 198}
SOCKETPAIR = {"x86_64": 53, "aarch64": 199}
I386, X32 = 0x40000003, 0x40000000
NEWUSER, THREAD = 0x10000000, 0x003D0F00


def judged(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the filter for `machine` returns for a call (seccomp(2), bpf(4))."""
    architecture = ARCHITECTURES[machine] if architecture is None else architecture
    padded = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, architecture, 0, *padded)
    instructions = list(struct.iter_unpack("<HBBI", seccomp.program(machine)))
    accumulator, place = 0, 0
    while True:
        operation, if_true, if_false, value = instructions[place]
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
                jump = 0
            case 0x15:
                jump = if_true if accumulator == value else if_false
            case 0x35:
                jump = if_true if accumulator >= value else if_false
            case 0x45:
                jump = if_true if accumulator & value else if_false
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"operation {operation:#x}")
        place += 1 + jump


def error(number: int) -> int:
    return 0x00050000 | number


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_denied_is_refused_whatever_its_arguments(machine: str) -> None:
    for number, refusal in seccomp.denied(machine).values():
        assert judged(machine, number) == judged(machine, number, *[2**64 - 1] * 6) == error(refusal)


@pytest.mark.parametrize("machine", MACHINES)
def test_all_other_calls_that_are_known_are_allowed(machine: str) -> None:
    denied = {number for number, _ in seccomp.denied(machine).values()}
    refused = {number for number in range(470) if judged(machine, number, socket.AF_UNIX) != ALLOW}
    assert refused == denied
    assert judged(machine, 470) == judged(machine, 600) == error(errno.ENOSYS)


@pytest.mark.parametrize(
    ("machine", "number", "architecture"),
    [
        ("x86_64", 1, I386),
        ("x86_64", 1, ARCHITECTURES["aarch64"]),
        ("x86_64", X32 | 1, None),
        ("x86_64", X32 | 425, None),
        ("x86_64", 0xFFFFFFFF, None),
        ("aarch64", 1, 0x40000028),
        ("aarch64", 1, ARCHITECTURES["x86_64"]),
    ],
)
def test_another_abi_ends_the_process(machine: str, number: int, architecture: int | None) -> None:
    assert judged(machine, number, architecture=architecture) == KILL_PROCESS


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (17, ALLOW),
        (THREAD, ALLOW),
        (NEWUSER, error(errno.EPERM)),
        (NEWUSER | THREAD, error(errno.EPERM)),
        (0x40000000 | 17, error(errno.EPERM)),
        (0x00020000 | 17, error(errno.EPERM)),
        # The kernel reads the lower half alone.
        (1 << 32 | NEWUSER, error(errno.EPERM)),
    ],
)
def test_clone_makes_processes_and_threads_and_no_namespaces(machine: str, flags: int, wanted: int) -> None:
    assert judged(machine, CLONE[machine], flags) == wanted


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("calls", [SOCKET, SOCKETPAIR], ids=["socket", "socketpair"])
def test_sockets_are_of_families_that_a_network_namespace_holds(machine: str, calls: dict[str, int]) -> None:
    allowed = [family for family in range(60) if judged(machine, calls[machine], family) == ALLOW]
    assert allowed == [socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK]
    assert judged(machine, calls[machine], 1 << 32 | 40) == error(errno.EAFNOSUPPORT)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_of_this_machines_headers(machine: str) -> None:
    if not (header := HEADERS[machine]).exists():
        pytest.skip(f"no {header} (linux-libc-dev)")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    theirs = {name: int(number) for name, number in found}
    ours = {
        name: number
        for name, (number, _) in seccomp.denied(machine).items()
        if number <= max(theirs.values())
    }
    ours |= {"clone": CLONE[machine], "socket": SOCKET[machine], "socketpair": SOCKETPAIR[machine]}
    assert ours == {name: theirs.get(name) for name in ours}


def test_for_a_machine_that_is_not_known_there_is_none() -> None:
    with pytest.raises(seccomp.UnknownMachineError, match="riscv64"):
        seccomp.program("riscv64")
