"""What code can do to the processes that run it: the runner, its fork servers, its socket."""

from __future__ import annotations

import ctypes
import errno
import glob
import json
import os
import socket
import stat

MOST, MOST_SOCKETS = 40, 12
LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE = 0x4206


def others() -> list[int]:
    """Processes that this one did not start: its ancestors first, then the others by number."""
    known = [os.getppid(), 1]
    every = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    return [pid for pid in dict.fromkeys([*known, *every]) if pid not in (0, os.getpid())][:MOST]


def opens(path: str, mode: int = os.O_RDONLY) -> bool:
    try:
        os.close(os.open(path, mode | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError:
        return False
    return True


def shares(pid: int) -> bool:
    """Whether one of its open files can be opened. To see their numbers, as gVisor lets, is no harm."""
    directory = f"/proc/{pid}/fd"
    try:
        paths = [f"{directory}/{number}" for number in os.listdir(directory)[:MOST]]
    except OSError:
        return False
    return any(opens(path, os.O_WRONLY) or opens(path, os.O_RDONLY) for path in paths)


def traced(pid: int) -> bool:
    """Whether it can be attached to. It is not stopped, and let go with the end of the child that does so."""
    child = os.fork()
    if child == 0:
        os._exit(LIBC.ptrace(PTRACE_SEIZE, pid, None, None) == 0)
    return os.waitpid(child, 0)[1] != 0


def sockets() -> list[str]:
    """Those in the file system where services put theirs, and of those that the kernel lists."""
    found = [
        path for pattern in ("/run/*", "/run/*/*", "/tmp/*", "/var/run/*/*") for path in glob.glob(pattern)
    ]
    try:
        with open("/proc/net/unix") as lines:
            found += [words[7] for words in map(str.split, list(lines)[1:200]) if len(words) > 7]
    except OSError:
        pass
    return [path for path in dict.fromkeys(found) if path.startswith("@") or is_socket(path)][:MOST_SOCKETS]


def is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def conversation(path: str) -> str:
    """`greeted` when the other side says something, `open` when it listens on, `closed` or an error."""
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(2)
        try:
            line.connect(address)
            return "greeted" if line.recv(64) else "closed"
        except TimeoutError:
            return "open"
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, "error")


def main() -> None:
    pids = others()
    facts = {
        "others": len(pids),
        "traced": [pid for pid in pids if traced(pid)],
        "memory": [pid for pid in pids if opens(f"/proc/{pid}/mem")],
        "descriptors": [pid for pid in pids if shares(pid)],
        "sockets": {path[:100]: conversation(path) for path in sockets()},
    }
    print(json.dumps(facts))


main()
