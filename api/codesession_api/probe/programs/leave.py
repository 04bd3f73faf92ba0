"""Leave things behind under a mark: files, shared memory, a process that does not end by itself."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

IPC_CREAT = 0o1000
LIBC = ctypes.CDLL(None, use_errno=True)


def left(directory: str, mark: str) -> bool:
    try:
        Path(directory, mark).write_text(mark)
    except OSError:
        return False
    return True


def main() -> None:
    mark = sys.argv[1]
    sleeper = [sys.executable, "-c", "import time; time.sleep(120)", mark]
    process = subprocess.Popen(
        sleeper, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    LIBC.shmget(int(mark[-7:], 16), 4096, IPC_CREAT | 0o600)
    directories = ("/tmp", "/dev/shm", "/var/tmp", "/run/codesession", os.getcwd())
    print(json.dumps({"files": [path for path in directories if left(path, mark)], "process": process.pid}))


main()
