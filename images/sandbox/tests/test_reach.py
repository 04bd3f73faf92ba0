"""Programs have the uid of the runner, as in a pod; still neither it nor what it keeps is in their reach."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from runner_testing import PACKAGE, Client, RunnerProcess, connected, running

ORDINARY_USER = (
    "setpriv",
    "--reuid=1000",
    "--regid=1000",
    "--clear-groups",
    "--inh-caps=-all",
    "--no-new-privs",
)
PYTHON = "/usr/bin/python3"

PROBE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH, PIDFD_OPEN, PIDFD_GETFD = 16, 434, 438

def parent(pid):
    try:
        return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    except OSError:
        return 0

def runners(pid):
    return pid == RUNNER or pid > 1 and runners(parent(pid))

def tried(name, attempt):
    try:
        attempt()
    except OSError:
        return
    print("reached", name, pid)

def ptrace():
    if libc.ptrace(PTRACE_ATTACH, pid, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")

def take_descriptor():
    handle = libc.syscall(PIDFD_OPEN, pid, 0)
    for number in range(32):
        if libc.syscall(PIDFD_GETFD, handle, number, 0) >= 0:
            return
    raise OSError

seen = 0
for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
    if runners(pid) and pid != os.getpid():
        seen += 1
        for name in ("environ", "mem", "maps"):
            tried(name, lambda: open(f"/proc/{pid}/{name}", "rb").read(1))
        tried("fd", lambda: os.listdir(f"/proc/{pid}/fd"))
        tried("cwd", lambda: os.readlink(f"/proc/{pid}/cwd"))
        tried("ptrace", ptrace)
        tried("pidfd_getfd", take_descriptor)
print("tried", seen >= 4)
print("own", len(os.listdir("/proc/self/fd")) > 2)
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that another user may use."""
    directory = Path(tempfile.mkdtemp(prefix="codesession-test-"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ordinary_runner(place: Path) -> AsyncIterator[RunnerProcess]:
    """A runner without a privilege: as this process is, or as root makes one."""
    wrapped = {"prefix": ORDINARY_USER, "python": PYTHON} if os.geteuid() == 0 else {}
    async with running(place, **wrapped) as runner:
        yield runner


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ordinary(ordinary_runner: RunnerProcess) -> AsyncIterator[Client]:
    async with connected(ordinary_runner) as client:
        yield client


def _reason() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        version = "import sys; sys.exit(sys.version_info < (3, 11))"
        done = subprocess.run([*ORDINARY_USER, PYTHON, "-c", version], capture_output=True, check=False)
    except FileNotFoundError as error:
        return f"root cannot become an ordinary user here: no {error.filename}"
    return None if done.returncode == 0 else f"{PYTHON} is no Python >= 3.11 that an ordinary user may run"


pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(_reason() is not None, reason=_reason() or ""),
]


async def test_programs_of_the_same_user_reach_nothing(
    ordinary_runner: RunnerProcess, ordinary: Client
) -> None:
    answer = await ordinary.run(f"RUNNER = {ordinary_runner.process.pid}\n{PROBE}")
    assert (answer.stdout, answer.stderr) == (b"tried True\nown True\n", b"")


async def test_the_relay_is_out_of_reach_too(ordinary_runner: RunnerProcess, ordinary: Client) -> None:
    relay = await asyncio.create_subprocess_exec(
        *(ORDINARY_USER if os.geteuid() == 0 else ()),
        *(PYTHON if os.geteuid() == 0 else sys.executable, "-I", "-S", str(PACKAGE / "relay.py")),
        str(ordinary_runner.socket),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert relay.stdout is not None
    await relay.stdout.readexactly(1)
    answer = await ordinary.run(f"import os; print(os.listdir('/proc/{relay.pid}/fd'))")
    assert b"PermissionError" in answer.stderr
    relay.kill()
    await relay.wait()


async def test_an_ordinary_user_is_enough(ordinary: Client) -> None:
    assert (await ordinary.run("import os; print(os.getuid() != 0)")).stdout == b"True\n"
    assert (await ordinary.request({"op": "put", "path": "f", "tag": "t"}, b"x")).end == {"size": 1}
    assert (await ordinary.run("cat f; rm f", lang="bash")).stdout == b"x"
