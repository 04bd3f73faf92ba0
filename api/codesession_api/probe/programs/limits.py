"""One attack on a limit, named by the argument. Each has an end of its own, for where there is no limit."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
import time

MIB = 1 << 20


def memory() -> dict[str, object]:
    """4 GiB, touched."""
    kept = []
    try:
        for _ in range(64):
            kept.append(b"x" * (64 * MIB))
    except MemoryError:
        pass
    taken = len(kept) * 64
    del kept
    return {"mib": taken}


def processes() -> dict[str, object]:
    """1000 that wait."""
    children = []
    why = None
    try:
        for _ in range(1000):
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            children.append(child)
    except OSError as error:
        why = errno.errorcode.get(error.errno or 0, "error")
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return {"processes": len(children), "why": why}


def file() -> dict[str, object]:
    """One of 1 TiB, but for a byte a hole."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    why = None
    try:
        with open("large", "wb", buffering=0) as target:
            target.seek((1 << 40) - 1)
            target.write(b"x")
    except OSError as error:
        why = errno.errorcode.get(error.errno or 0, "error")
    finally:
        if os.path.exists("large"):
            os.unlink("large")
    return {"why": why, "limit": resource.getrlimit(resource.RLIMIT_FSIZE)[0]}


def output() -> dict[str, object]:
    """20 MB."""
    for _ in range(20):
        sys.stdout.write("x" * 1_000_000)
    sys.stdout.flush()
    return {}


def seconds() -> dict[str, object]:
    """Half a minute, and deaf to being asked."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(30)
    return {"slept": 30}


ATTACKS = {each.__name__: each for each in (memory, processes, file, output, seconds)}
print(json.dumps(ATTACKS[sys.argv[1]]()))
