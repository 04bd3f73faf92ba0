"""What is mounted, what can be written, and what of a host is there."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys

MOST = 200
DIRECTORIES = (
    "/",
    "/bin",
    "/boot",
    "/etc",
    "/home",
    "/lib",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/sys/fs/cgroup",
    "/usr",
    "/usr/lib",
    "/usr/local",
    "/usr/local/bin",
    "/var",
    "/var/lib",
    "/var/log",
    "/var/tmp",
    "/opt/codesession",
    "/proc/sys/kernel",
)
SETTINGS = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sysrq-trigger",
    "/sys/power/state",
    "/proc/sys/vm/drop_caches",
)


def refusal(path: str) -> str | None:
    """Why no file can be made there; None when it can. It is gone again."""
    name = f"{path.rstrip('/')}/.codesession-probe"
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "error")
    os.unlink(name)
    return None


def opens_for_writing(path: str) -> bool:
    """Nothing is written."""
    try:
        os.close(os.open(path, os.O_WRONLY))
    except OSError:
        return False
    return True


def mounts() -> list[list[str]]:
    """Source, target, type and options of each."""
    with open("/proc/self/mounts") as lines:
        return [line.split()[:4] for line in lines][:MOST]


def devices() -> dict[str, str]:
    """Those below /dev: `c` or `b`, with `+` where it can be opened for reading."""
    found = {}
    for directory, _, names in os.walk("/dev"):
        for name in names:
            path = os.path.join(directory, name)
            try:
                mode = os.stat(path).st_mode
            except OSError:
                continue
            if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
                kind = "b" if stat.S_ISBLK(mode) else "c"
                found[path[5:]] = kind + ("+" if os.access(path, os.R_OK) else "")
            if len(found) >= MOST:
                return found
    return found


def main() -> None:
    wanted = json.loads(sys.argv[1])
    entries = mounts()
    targets = [entry[1].encode().decode("unicode_escape") for entry in entries]
    places = [path for path in dict.fromkeys([*DIRECTORIES, *targets]) if os.path.isdir(path)]
    facts = {
        "mounts": entries,
        "written": [path for path in places if refusal(path) is None],
        "refused": {path: why for path in places if (why := refusal(path)) is not None},
        "settings": [path for path in SETTINGS if opens_for_writing(path)],
        "present": [path for path in wanted if os.path.lexists(path)],
        "devices": devices(),
        "disks": [name for name in listed("/sys/block") if not name.startswith(("loop", "ram"))][:MOST],
    }
    print(json.dumps(facts))


def listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


main()
