"""Who the code is, which kernel answers it, and what that kernel lets it do.

Nothing here changes the machine where it is let: each attempt is made in a child, with arguments that cannot
work or on what the child owns. An error other than a refusal says that the attempt was allowed.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
PR_GET_NO_NEW_PRIVS = 39
X86 = platform.machine() == "x86_64"
NUMBERS = {
    "io_uring_setup": (425, 425),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "pivot_root": (155, 41),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "adjtimex": (159, 171),
}
"""Numbers of system calls on x86-64 and on 64-bit ARM."""
NEWNS, NEWUSER = 0x00020000, 0x10000000


def failed() -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))


def call(name: str, *arguments: object) -> None:
    if LIBC.syscall(NUMBERS[name][0 if X86 else 1], *arguments) < 0:
        failed()


def libc(name: str, *arguments: object) -> None:
    if getattr(LIBC, name)(*arguments) != 0:
        failed()


def mount() -> None:
    place = tempfile.mkdtemp().encode()
    try:
        libc("mount", b"none", place, b"tmpfs", ctypes.c_ulong(0), None)
        LIBC.umount2(place, 2)
    finally:
        os.rmdir(place)


def join_init() -> None:
    """Enter the network of PID 1, which is another one where this is worth anything."""
    descriptor = os.open("/proc/1/ns/net", os.O_RDONLY)
    libc("setns", descriptor, 0)


def become_root() -> None:
    if os.getuid() == 0:
        raise PermissionError(errno.EPERM, "is root already")
    try:
        os.setuid(0)
    except OSError as error:
        # EINVAL where the namespace has no such user.
        raise PermissionError(errno.EPERM, str(error)) from None


def device() -> None:
    place = tempfile.mkdtemp()
    try:
        os.mknod(place + "/disk", 0o060600, os.makedev(8, 0))
        os.unlink(place + "/disk")
    finally:
        os.rmdir(place)


ATTEMPTS: dict[str, Callable[[], None]] = {
    "mount": mount,
    "chroot": lambda: os.chroot("/"),
    "pivot_root": lambda: call("pivot_root", b"/", b"/"),
    "unshare user": lambda: libc("unshare", NEWUSER),
    "unshare mount": lambda: libc("unshare", NEWNS),
    "setns": join_init,
    "mknod": device,
    "setuid": become_root,
    "bpf": lambda: call("bpf", 0, (ctypes.c_uint32 * 18)(2, 4, 8, 1), 72),
    "init_module": lambda: call("init_module", None, 0, None),
    "finit_module": lambda: call("finit_module", -1, b"", 0),
    "kexec_load": lambda: call("kexec_load", 0, 0, None, ctypes.c_ulong(1 << 40)),
    "reboot": lambda: call("reboot", 0, 0, 0, None),
    "swapon": lambda: call("swapon", None, 0),
    "adjtimex": lambda: call("adjtimex", (ctypes.c_long * 64)(0x0100)),
    "sethostname": lambda: libc("sethostname", b"", ctypes.c_size_t(1 << 20)),
    "io_uring_setup": lambda: call("io_uring_setup", 1, (ctypes.c_uint32 * 32)()),
    "perf_event_open": lambda: call("perf_event_open", (ctypes.c_uint32 * 32)(1, 128), 0, -1, -1, 0),
    "userfaultfd": lambda: call("userfaultfd", 1),
    "keyctl": lambda: call("keyctl", 1, None),
}


def outcome(attempt: Callable[[], None]) -> str:
    """`done`, or the name of the error; `died` where the kernel ended the child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "done"
        try:
            attempt()
        except OSError as error:
            said = errno.errorcode.get(error.errno or 0, "error")
        except BaseException as error:
            said = type(error).__name__
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said or "died"


def kernel_log() -> str | None:
    """None where it may not be read."""
    text = ctypes.create_string_buffer(65536)
    length = LIBC.klogctl(3, text, len(text))
    return None if length < 0 else text.raw[:length].decode(errors="replace")


def status() -> dict[str, str]:
    with open("/proc/self/status") as lines:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def main() -> None:
    log, fields = kernel_log(), status()
    facts = {
        "gvisor": "Starting gVisor" in (log or ""),
        "log_bytes": None if log is None else len(log),
        "version": platform.version(),
        "ids": [*os.getresuid(), *os.getresgid()],
        "groups": os.getgroups(),
        "capabilities": {name: fields[name] for name in fields if name.startswith("Cap")},
        "no_new_privs": LIBC.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
        "seccomp": int(fields.get("Seccomp", "0")),
        "attempts": {name: outcome(attempt) for name, attempt in ATTEMPTS.items()},
        "host_name": platform.node(),
        "time": time.time(),
        "zone": time.tzname[0],
        "processes": sum(name.isdigit() for name in os.listdir("/proc")),
        "is_own_namespace": own_pid_namespace(),
    }
    print(json.dumps(facts))


def own_pid_namespace() -> bool:
    """Whether PID 1 is the first process of this sandbox: there are no kernel threads beside it."""
    try:
        with open("/proc/2/stat") as stat:
            return "(kthreadd)" not in stat.read()
    except OSError:
        return True


main()
