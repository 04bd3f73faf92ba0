"""Live runs share one interpreter: what they keep, what ends with each, and how it is lost and replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from runner_testing import PATIENCE, Answer, Client, RunnerProcess, connected, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


def state(pid: int) -> str | None:
    """Of a process, as `ps` has it; None when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


LOST = b"The variables of this session are lost"


async def live(client: Client, code: str, *args: str, **options: Any) -> Answer:
    return await client.run(textwrap.dedent(code), *args, live=True, **options)


async def printed(client: Client, code: str) -> str:
    """What a live run prints that has nothing to complain of."""
    answer = await live(client, code)
    assert (answer.end["outcome"], answer.end["exit_code"], answer.stderr) == ("exit", 0, b""), answer
    return answer.stdout.decode()


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(shared: Client) -> Client:
    """The module's runner with a new interpreter, whose loss has been told."""
    await live(shared, "import os; os._exit(0)")
    await live(shared, "x = 1")
    return shared


KEPT = {
    "a variable": ("y = [1]", "print(y, x)", "[1] 1\n"),
    "an import": ("import math as m", "print(m.floor(2.5))", "2\n"),
    "a function": ("def f():\n    return x", "x = 5; print(f())", "5\n"),
    "a class that pickles": (
        "class A: pass\na = A()",
        "import pickle; print(type(pickle.loads(pickle.dumps(a))) is A)",
        "True\n",
    ),
    "the directory": (
        "import os; os.makedirs('d', exist_ok=True); os.chdir('d')",
        "print(os.getcwd()[-2:])",
        "/d\n",
    ),
    "the environment": ("import os; os.environ['E'] = 'e'", "print(os.environ['E'])", "e\n"),
    "what ran before an error": ("y = 2\n1/0", "print(y)", "2\n"),
    "what ran before an exit": ("import sys; y = 3; sys.exit(4)", "print(y)", "3\n"),
    "what ran before an interrupt": ("y = 4; raise KeyboardInterrupt", "print(y)", "4\n"),
    "a module of the workspace": (
        "open('made.py', 'w').write('z = 1')",
        "import made; print(made.z)",
        "1\n",
    ),
    "an executor": (
        "from concurrent.futures import ThreadPoolExecutor as T; t = T(1); print(list(t.map(abs, [-1])))",
        "print(list(t.map(abs, [-2])))",
        "[2]\n",
    ),
}


@pytest.mark.parametrize("name", KEPT)
async def test_what_a_live_run_leaves_is_there_for_the_next(fresh: Client, name: str) -> None:
    first, second, expected = KEPT[name]
    await live(fresh, first)
    assert await printed(fresh, second) == expected


ENDED = {
    "closed streams": ("import os, sys; sys.stdout.close(); sys.stderr.close(); os.close(0); os.close(1)"),
    "replaced streams": "import sys, io; sys.stdout = io.StringIO(); sys.stdin = None; sys.stderr = None",
    "an alarm": "import signal; signal.alarm(1)",
    "a hook that fails": "import sys\ndef hook(*a): raise ValueError\nsys.excepthook = hook\n1/0",
    "an exit in a hook": "import sys\nsys.excepthook = lambda *a: sys.exit(3)\n1/0",
}


@pytest.mark.parametrize("name", ENDED)
async def test_what_a_program_does_to_itself_does_not_reach_the_next(fresh: Client, name: str) -> None:
    await live(fresh, ENDED[name])
    assert await printed(fresh, "import sys; print(x, repr(sys.stdin.read()))") == "1 ''\n"


async def test_a_run_that_is_not_live_is_fresh(fresh: Client) -> None:
    answer = await fresh.run("print('x' in globals())")
    assert answer.stdout == b"False\n"
    assert (await fresh.run('echo "[$x]"', lang="bash", live=True)).stdout == b"[]\n"
    assert await printed(fresh, "print(x)") == "1\n"


async def test_each_run_has_arguments_exit_codes_and_processor_time_of_its_own(fresh: Client) -> None:
    answer = await live(
        fresh, "import sys, time; print(sys.argv[1:])\nwhile time.process_time() < 1: pass", "a b"
    )
    assert answer.stdout == b"['a b']\n"
    answer = await live(fresh, "print(sys.argv[1:]); sys.exit('no')")
    assert (answer.stdout, answer.stderr, answer.end["exit_code"]) == (b"[]\n", b"no\n", 1)
    assert answer.end["cpu_ms"] < 500
    assert (await live(fresh, "import os; os._exit(0)")).end["cpu_ms"] < 500


async def test_files_that_stay_open_are_written(fresh: Client) -> None:
    answer = await live(fresh, "f = open('open.txt', 'w'); f.write('kept')")
    assert answer.records == [{"path": "open.txt", "size": 4, "change": "changed"}]


async def test_a_traceback_shows_lines_of_earlier_runs(fresh: Client) -> None:
    await live(fresh, "def outer():\n    inner()\n\ndef inner():\n    raise ValueError('bad')  # here\n")
    answer = await live(fresh, "outer()  # now")
    text = answer.stderr.decode()
    assert answer.end["exit_code"] == 1
    for line in ("outer()  # now", "inner()", "raise ValueError('bad')  # here", "ValueError: bad"):
        assert line in text
    assert text.count("main.py") == 3
    assert "codesession_runner" not in text


async def test_a_warning_comes_from_each_run(fresh: Client) -> None:
    for _ in range(2):
        answer = await live(fresh, "import warnings; warnings.warn('look')")
        assert b"UserWarning: look" in answer.stderr


async def test_threads_are_waited_for_and_others_stand_still(fresh: Client) -> None:
    code = """
    import threading, time
    def count():
        while True:
            time.sleep(0.01)
            n[0] += 1
    n = [0]
    threading.Thread(target=count, daemon=True).start()
    threading.Thread(target=lambda: (time.sleep(0.1), print('done'))).start()
    print('main')
    """
    assert await printed(fresh, code) == "main\ndone\n"
    before = int(await printed(fresh, "print(n[0])"))
    await asyncio.sleep(1)
    assert int(await printed(fresh, "print(n[0])")) < before + 50
    assert int(await printed(fresh, "time.sleep(0.5); print(n[0])")) > before


async def test_processes_end_with_their_run(fresh: Client, shared_runner: RunnerProcess) -> None:
    code = """
    import os, subprocess, multiprocessing as m, time
    p = subprocess.Popen(['sleep', '600'])
    q = m.get_context('fork').Process(target=time.sleep, args=(600,))
    q.start()
    if not os.fork():
        os.setsid(); time.sleep(600)
    print(p.pid, q.pid)
    """
    pids = [int(pid) for pid in (await printed(fresh, code)).split()]
    assert await printed(fresh, "print(p.poll(), q.exitcode)") == "-9 -9\n"
    assert [state(pid) for pid in pids] == [None, None]
    assert await printed(fresh, "print(x)") == "1\n"


async def test_a_forked_program_ends_as_one_of_its_own(fresh: Client) -> None:
    code = """
    import os
    pid = os.fork()
    if pid:
        print(os.waitpid(pid, 0)[1])
    else:
        print('child')
        x = 2
    """
    assert await printed(fresh, code) == "child\n0\n"
    assert await printed(fresh, "print(x)") == "1\n"


async def test_no_process_is_left_but_one_that_is_stopped(
    fresh: Client, shared_runner: RunnerProcess
) -> None:
    pid = int(await printed(fresh, "import os; print(os.getpid())"))
    await fresh.run("setsid sleep 600 &", lang="bash")
    assert await printed(fresh, "print(os.getpid())") == f"{pid}\n"
    async with asyncio.timeout(PATIENCE):  # the signal was sent by then, and takes its time
        while state(pid) != "T":  # noqa: ASYNC110 - only /proc tells of another's child
            await asyncio.sleep(0.01)


LOSSES = {
    "os._exit": ("import os; print('out', flush=True); os._exit(3)", "exit"),
    "death by its own hand": (f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})", "signal"),
    "a crash": ("import ctypes; ctypes.string_at(0)", "signal"),
    "a timeout": ("import time; time.sleep(600)", "timeout"),
    "a thread that does not end": (
        "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start()",
        "timeout",
    ),
    "too much output": ("while True: print('x' * 1000)", "output_limit"),
    "its descriptors closed": ("import os; os.closerange(3, 4096)", "exit"),
    "exec": ("import os; os.execvp('true', ['true'])", "exit"),
}


@pytest.mark.parametrize("name", LOSSES)
async def test_a_lost_interpreter_is_replaced_and_told_of_once(fresh: Client, name: str) -> None:
    code, outcome = LOSSES[name]
    await live(fresh, "open('kept.txt', 'w').write('kept')")
    lost = await live(fresh, code, timeout_ms=500)
    assert lost.end["outcome"] == outcome
    assert LOST in lost.stderr
    after = await live(fresh, "print('x' in globals(), open('kept.txt').read())")
    assert (after.stdout, after.end["exit_code"]) == (b"False kept\n", 0)
    assert after.stderr.startswith(LOST)
    assert await printed(fresh, "print(1)") == "1\n"


async def test_a_cancelled_run_loses_it(fresh: Client) -> None:
    running = fresh.open(
        {"op": "run", "run": "gone", "lang": "py", "live": True}, b"import time; time.sleep(600)"
    )
    await asyncio.sleep(0.2)
    await fresh.request({"op": "cancel", "run": "gone"})
    assert (await fresh.answer(running)).end["outcome"] == "cancelled"
    after = await live(fresh, "print('x' in globals())")
    assert (after.stdout, after.stderr.startswith(LOST)) == (b"False\n", True)


async def test_one_that_was_killed_while_it_rested_is_replaced(fresh: Client) -> None:
    """Whether the runner has heard of its end when the next run comes, or not yet."""
    for pause in (0, 0, 0, 0.2):
        pid = int(await printed(fresh, "import os; x = 1; print(os.getpid())"))
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(pause)
        after = await live(fresh, "print('x' in globals())")
        assert (after.stdout, after.stderr.startswith(LOST)) == (b"False\n", True)


async def test_what_a_program_says_in_the_name_of_the_interpreter_ends_its_run_alone(fresh: Client) -> None:
    code = """
    import os, socket, time
    for n in range(3, 64):
        try:
            s = socket.socket(fileno=n)
        except OSError:
            continue
        s.send(b'ended 999 999999999999999'); s.send(b'ended'); s.send(b'x' * 1000); s.detach()
    time.sleep(600)
    """
    began = time.monotonic()
    answer = await live(fresh, code, timeout_ms=5000)
    assert time.monotonic() - began < 4
    assert answer.end["exit_code"] == 999 & 0xFF
    await live(fresh, "print(1)", timeout_ms=500)
    assert (await fresh.run("print('fine')")).stdout == b"fine\n"


async def test_stopping_the_runner_ends_it(tmp_path: Path) -> None:
    async with running(tmp_path) as runner:
        async with connected(runner) as client:
            pid = int(await printed(client, "import os; print(os.getpid())"))
        assert await runner.stop() == 0
    assert state(pid) in (None, "Z")


async def test_a_killed_runner_leaves_none(tmp_path: Path) -> None:
    async with running(tmp_path) as runner:
        async with connected(runner) as client:
            pid = int(await printed(client, "import os; print(os.getpid())"))
        runner.process.kill()
        async with asyncio.timeout(10):
            while state(pid) not in (None, "Z"):  # noqa: ASYNC110 - only /proc tells of another's child
                await asyncio.sleep(0.01)


MEMORY = 256 * 2**20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tight(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    limits = {"memory_bytes": MEMORY, "file_bytes": 10_000, "processes": 20, "run_seconds": 10}
    async with running(tmp_path_factory.mktemp("tight"), **limits) as runner, connected(runner) as client:
        yield client


async def test_memory_that_was_refused_loses_nothing(tight: Client) -> None:
    await live(tight, "x = 1")
    answer = await live(tight, f"bytearray({MEMORY})")
    assert (answer.end["outcome"], answer.end["exit_code"]) == ("oom", 1)
    assert await printed(tight, "print(x)") == "1\n"


async def test_limits_hold_in_every_run(tight: Client) -> None:
    for _ in range(2):
        answer = await live(tight, "open('f', 'wb', 0).write(bytes(20_000)); open('f', 'ab', 0).write(b'x')")
        assert b"File too large" in answer.stderr
    await live(tight, "import subprocess")
    for _ in range(3):  # what earlier runs left does not count
        assert await printed(tight, "ps = [subprocess.Popen(['sleep', '60']) for _ in range(10)]") == ""


async def test_too_many_processes_end_it(tight: Client) -> None:
    code = "import os, time\nfor _ in range(40):\n    if not os.fork(): time.sleep(60)\ntime.sleep(60)"
    answer = await live(tight, code)
    assert (answer.end["outcome"], answer.end["signal"]) == ("signal", signal.SIGKILL)
    assert LOST in (await live(tight, "print(1)")).stderr
