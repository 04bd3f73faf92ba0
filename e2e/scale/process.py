"""What processes use, read from /proc, and the operator as one of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import aiohttp

from e2e.scale.plane import SANDBOXES

_TICK = os.sysconf("SC_CLK_TCK")
_POLL_SECONDS = 0.1


def cpu_seconds(pid: int) -> float:
    """User and system time since the process began."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def busy_seconds() -> float:
    """What all processors of the machine have worked since it began, the kernel's own work included."""
    first, _, _ = Path("/proc/stat").read_text().partition("\n")
    user, nice, system, _idle, _waiting, *interrupts = (int(word) for word in first.split()[1:8])
    return (user + nice + system + sum(interrupts)) / _TICK


def rss_mb(pid: int) -> dict[str, float]:
    """`now` and `peak`, in units of 1,000,000 bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = {name: re.search(rf"^{field}:\s+(\d+) kB", status, re.M) for name, field in _FIELDS.items()}
    return {name: round(int(match[1]) * 1024 / 1e6, 1) for name, match in found.items() if match}


_FIELDS = {"now": "VmRSS", "peak": "VmHWM"}


class Operator:
    """The operator's process, on one core."""

    def __init__(self, kubeconfig: Path, core: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        self._core = core
        self._environment = os.environ | {
            "KUBECONFIG": str(kubeconfig),
            "CODESESSION_OPERATOR_NAMESPACE": SANDBOXES,
            "CODESESSION_OPERATOR_HOST": "127.0.0.1",
            "CODESESSION_OPERATOR_PORT": str(port),
            # No controller is here to count.
            "CODESESSION_OPERATOR_QUOTA": "{}",
            "CODESESSION_OPERATOR_LOG_LEVEL": "WARNING",
        }
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> float:
        """Returns when it is settled: it knows what there is and has nothing to do; seconds that it took."""
        begun = time.monotonic()
        command = ("taskset", "-c", str(self._core), sys.executable, "-m", "codesession_operator")
        self._process = await asyncio.create_subprocess_exec(*command, env=self._environment)
        while not await self._is_settled():
            if self._process.returncode is not None:
                raise RuntimeError("the operator has ended")
            await asyncio.sleep(_POLL_SECONDS)
        return time.monotonic() - begun

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()

    async def _is_settled(self) -> bool:
        ready, _ = await self._ask("readyz")
        if ready != 200:
            return False
        _, metrics = await self._ask("metrics")
        return re.search(r"^codesession_operator_queue_length 0(\.0)?$", metrics, re.M) is not None

    async def _ask(self, path: str) -> tuple[int, str]:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            timeout = aiohttp.ClientTimeout(total=10)
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.get(f"{self._url}/{path}") as answer,
            ):
                return answer.status, await answer.text()
        return 0, ""
