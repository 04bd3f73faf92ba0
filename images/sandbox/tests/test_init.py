"""The runner as PID 1 of a PID namespace of its own, which is what it is in a pod."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from runner_testing import PACKAGE, Client, RunnerProcess, connected, running

NAMESPACE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc")


def _available() -> bool:
    try:
        return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not _available(), reason="no PID namespace can be made here (unshare --user --pid)"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def init(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunnerProcess]:
    async with running(tmp_path_factory.mktemp("init"), prefix=NAMESPACE) as runner:
        yield runner


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def inside(init: RunnerProcess) -> AsyncIterator[Client]:
    async with connected(init) as client:
        yield client


async def test_it_is_pid_1(inside: Client) -> None:
    answer = await inside.run("tr '\\0' ' ' < /proc/1/cmdline", lang="bash")
    assert str(PACKAGE).encode() in answer.stdout


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
async def test_a_program_that_signals_everything(inside: Client, number: signal.Signals) -> None:
    everything = f"import os; os.kill(-1, {int(number)}); print('still here')"
    assert (await inside.run(everything)).end["outcome"] == "exit"
    every_one = (
        "import os\n"
        "for pid in map(int, filter(str.isdigit, os.listdir('/proc'))):\n"
        f"    if pid != os.getpid(): os.kill(pid, {int(number)})\n"
        "print('still here')\n"
    )
    answer = await inside.run(every_one)
    assert (answer.stdout, answer.end["outcome"]) == (b"still here\n", "exit"), answer.stderr
    assert (await inside.run("print('fine')")).stdout == b"fine\n"


async def test_nothing_outruns_the_sweep(inside: Client) -> None:
    """Every process starts another in a session of its own and is gone, as fast as it can."""
    hydra = (
        "import os, time\n"
        "end = time.monotonic() + 20\n"
        "for _ in range(4):\n"
        "    if not os.fork():\n"
        "        while time.monotonic() < end:\n"
        "            if os.fork(): os._exit(0)\n"
        "            os.setsid()\n"
    )
    assert (await inside.run(hydra)).end["outcome"] == "exit"
    answer = await inside.run("echo /proc/[0-9]*", lang="bash")
    assert len(answer.stdout.split()) <= 6  # the runner, the fork server, three children, this


async def test_orphans_are_reaped(inside: Client) -> None:
    await inside.run("for i in 1 2 3; do (setsid true &); done; sleep 0.1", lang="bash")
    answer = await inside.run("ps -eo stat= 2>/dev/null || cut -d' ' -f3 /proc/[0-9]*/stat", lang="bash")
    assert b"Z" not in answer.stdout


async def test_sigterm_from_outside_stops_it(tmp_path: Path) -> None:
    async with running(tmp_path, prefix=NAMESPACE) as runner:
        await (await runner.connect()).aclose()
        assert await runner.stop() == 0


async def test_interpreter_under_test_is_this_one(inside: Client) -> None:
    answer = await inside.run("import sys; print(sys.version)")
    assert answer.stdout.decode().strip() == sys.version
