"""Programs that do their worst: each ends with an end record in time, and leaves no process behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from codesession_runner.frames import Kind
from codesession_runner.processes import children
from runner_testing import Answer, Client, RunnerProcess, connected, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


def descendants(pid: int) -> list[str]:
    """Command lines below a process, without the fork server and its children."""
    direct = children(pid)
    found, pending = [], [pid]
    while pending:
        for below in children(pending.pop()):
            command = Path(f"/proc/{below}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            if "--fork-server" not in command or below not in direct:
                found.append(command)
            if "--fork-server" not in command:
                pending.append(below)
    return found


def fork_server(runner: RunnerProcess) -> int:
    """One that was started just now has the runner's command line for a moment."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for pid in children(runner.process.pid):
            if b"--fork-server" in command(pid):
                return pid
    raise AssertionError("no fork server")


def command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def alive(pid: int) -> bool:
    """Whether a process runs, rather than waits to be reaped by another."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def served(client: Client) -> Answer:
    """A harmless run, which everything has to be able to follow."""
    answer = await client.run("print('fine')")
    assert (answer.stdout, answer.end["outcome"]) == (b"fine\n", "exit"), answer
    return answer


LEFTOVERS = {
    "background": "sleep 600 & disown",
    "new session": "setsid sleep 600 &",
    "double fork": "(setsid sh -c 'sleep 600 & sleep 600' &) &",
    "deaf": "trap '' TERM HUP INT; (trap '' TERM; while :; do sleep 600; done) &",
    "stopped": "sleep 600 & kill -STOP $!",
    "stdout closed": "exec >&- 2>&-; setsid sleep 600 &",
    "stdout held": "setsid sh -c 'while :; do echo x; sleep 0.05; done' & sleep 0.1",
}


@pytest.mark.parametrize("name", LEFTOVERS)
async def test_what_a_program_leaves_running_is_killed(
    shared: Client, shared_runner: RunnerProcess, name: str
) -> None:
    answer = await shared.run(LEFTOVERS[name], lang="bash")
    assert (answer.end["outcome"], answer.end["exit_code"]) == ("exit", 0)
    assert descendants(shared_runner.process.pid) == []


async def test_a_daemon_whose_main_thread_ended_is_killed(
    shared: Client, shared_runner: RunnerProcess
) -> None:
    """Its leader is a zombie for as long as its other thread lives."""
    answer = await shared.run(
        "import ctypes, os, threading, time\n"
        "if not os.fork():\n"
        "    os.setsid()\n"
        "    threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "    ctypes.CDLL(None).pthread_exit(None)\n"
        "time.sleep(0.2)\n"
    )
    assert answer.end["outcome"] == "exit"
    assert descendants(shared_runner.process.pid) == []


STUBBORN = {
    "deaf to SIGTERM": "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)",
    "stopped": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "busy in C": "10 ** 10 ** 9",
    "deaf group": (
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "for _ in range(5):\n    if not os.fork(): os.setsid()\n"
        "time.sleep(600)"
    ),
    "waits for a thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()",
    "exit handler": "import atexit, time\natexit.register(time.sleep, 600)",
}


@pytest.mark.parametrize("name", STUBBORN)
async def test_a_timeout_ends_everything(shared: Client, shared_runner: RunnerProcess, name: str) -> None:
    began = time.monotonic()
    answer = await shared.run(STUBBORN[name], timeout_ms=300)
    assert answer.end["outcome"] == "timeout"
    assert time.monotonic() - began < 10
    assert descendants(shared_runner.process.pid) == []


async def test_endless_output_is_cut_at_the_limit(shared: Client) -> None:
    limit = shared.hello["limits"]["output_bytes"]
    for code in ("while True: print('x' * 1000)", "import os\nwhile True: os.write(2, bytes(65536))"):
        answer = await shared.run(code)
        assert (answer.end["outcome"], answer.end["truncated"]) == ("output_limit", True)
        assert max(len(answer.stdout), len(answer.stderr)) == limit


async def test_output_up_to_the_limit_is_no_excess(shared: Client) -> None:
    limit = shared.hello["limits"]["output_bytes"]
    code = f"import sys; sys.stdout.write('x' * {limit}); sys.stderr.write('y' * {limit})"
    answer = await shared.run(code)
    assert (answer.end["outcome"], answer.end["truncated"]) == ("exit", False)
    assert len(answer.stdout) == len(answer.stderr) == limit


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_death_by_a_signal(shared: Client, number: signal.Signals) -> None:
    answer = await shared.run(f"import os; os.write(1, b'x'); os.kill(os.getpid(), {int(number)})")
    assert (answer.end["outcome"], answer.end["signal"], answer.end["exit_code"]) == ("signal", number, None)
    assert answer.stdout == b"x"


async def test_closed_standard_streams(shared: Client) -> None:
    answer = await shared.run("import os, sys\nprint('x', flush=True)\nfor n in (0, 1, 2): os.close(n)\n1/0")
    assert (answer.stdout, answer.end["outcome"]) == (b"x\n", "exit")


async def test_no_descriptor_of_the_sandbox_is_in_reach(shared: Client) -> None:
    """Three streams, and one socket whose other end believes nothing but two words."""
    answer = await shared.run(
        "import os\n"
        "for n in range(3, 4096):\n"
        "    try: print(os.readlink(f'/proc/self/fd/{n}').split(':')[0])\n"
        "    except OSError: pass\n"
    )
    assert answer.stdout == b"socket\n"
    bash = await shared.run("ls -l /proc/$$/fd", lang="bash")
    assert b"socket:" not in bash.stdout


async def test_a_program_may_lie_about_itself_only(shared: Client) -> None:
    answer = await shared.run(
        "import os, socket\n"
        "for n in range(3, 64):\n"
        "    try: s = socket.socket(fileno=n)\n"
        "    except OSError: continue\n"
        "    s.send(b'memory'); s.send(b'{\"exit\": 1}' * 100); s.close()\n"
    )
    assert (answer.end["outcome"], answer.end["exit_code"]) == ("oom", 0)
    await served(shared)


async def test_a_program_cannot_connect_to_the_runner(shared: Client, shared_runner: RunnerProcess) -> None:
    answer = await shared.run(
        "import socket\ns = socket.socket(socket.AF_UNIX)\n"
        f"s.connect({str(shared_runner.socket)!r})\nprint(s.recv(99))"
    )
    assert answer.stdout == b"b''\n", answer


async def test_a_killed_fork_server_is_replaced(shared: Client, shared_runner: RunnerProcess) -> None:
    server = fork_server(shared_runner)
    answer = await shared.run(f"import os; os.kill({server}, 9); print('did it')")
    assert (answer.stdout, answer.end["outcome"], answer.end["exit_code"]) == (b"did it\n", "exit", 0)
    await served(shared)
    assert fork_server(shared_runner) != server


async def test_a_stopped_fork_server_is_woken(shared: Client, shared_runner: RunnerProcess) -> None:
    server = fork_server(shared_runner)
    answer = await shared.run(f"import os, signal; os.kill({server}, signal.SIGSTOP)", timeout_ms=20_000)
    assert answer.end["outcome"] == "exit"
    await served(shared)


async def test_killed_children_are_replaced(shared: Client, shared_runner: RunnerProcess) -> None:
    server = fork_server(shared_runner)
    for number in (signal.SIGKILL, signal.SIGSTOP):
        answer = await shared.run(
            "import os\n"
            "for pid in map(int, filter(str.isdigit, os.listdir('/proc'))):\n"
            "    try: parent = int(open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[1])\n"
            "    except OSError: continue\n"
            f"    if parent == {server} and pid != os.getpid(): os.kill(pid, {int(number)})\n"
        )
        assert answer.end["outcome"] == "exit", answer.stderr
        for _ in range(4):
            await served(shared)


async def test_a_fork_server_killed_while_idle_is_replaced(
    shared: Client, shared_runner: RunnerProcess
) -> None:
    for _ in range(3):
        os.kill(fork_server(shared_runner), signal.SIGKILL)
        await served(shared)


async def test_a_flood_of_processes_is_ended(tmp_path: Path) -> None:
    flood = (
        "import os, time\n"
        "for _ in range(200):\n"
        "    if not os.fork():\n        os.setsid(); time.sleep(600)\n"
        "time.sleep(600)\n"
    )
    async with running(tmp_path, processes=40) as runner, connected(runner) as client:
        answer = await client.run(flood)
        assert (answer.end["outcome"], answer.end["signal"]) == ("signal", signal.SIGKILL)
        assert answer.stderr == b"killed: more than 40 processes\n"
        assert descendants(runner.process.pid) == []
        await served(client)


async def test_forking_on_and_on_does_not_hold_the_answer_up(tmp_path: Path) -> None:
    """Every process starts another in a session of its own and is gone. As init the runner ends them all
    (test_init); as it is here, among other processes, it may have to give up, and says so in its log."""
    hydra = (
        "import os, time\n"
        "end = time.monotonic() + 6\n"
        "if not os.fork():\n"
        "    while time.monotonic() < end:\n"
        "        if os.fork(): os._exit(0)\n"
        "        os.setsid(); time.sleep(0.001)\n"
    )
    async with running(tmp_path) as runner, connected(runner) as client:
        answer = await client.run(hydra)
        assert answer.end["outcome"] == "exit"
        await served(client)


async def test_stopping_the_runner_leaves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as runner:
        client = await runner.connect()
        channel = client.open(
            {"op": "run", "run": "x", "lang": "bash"}, b"setsid sleep 600 & echo $! $$; sleep 600"
        )
        pids = (await client.frame(channel, Kind.STDOUT)).payload.split()
        server = fork_server(runner)
        assert await runner.stop() == 0
        await client.aclose()
    assert not any(alive(pid) for pid in (*map(int, pids), server))


async def test_a_killed_runner_leaves_no_interpreters(tmp_path: Path) -> None:
    async with running(tmp_path) as runner:
        await (await runner.connect()).aclose()
        server = fork_server(runner)
        runner.process.kill()
        async with asyncio.timeout(10):
            while alive(server):  # noqa: ASYNC110 - only /proc tells of another's child
                await asyncio.sleep(0.01)
