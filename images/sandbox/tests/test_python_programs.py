"""Python code behaves as under an interpreter of its own, though it runs in a forked child."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from runner_testing import Client, connected, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROGRAMS = {
    "print": ("print('é', 1)", "é 1\n", 0),
    "main": ("print(__name__); import __main__; print(__main__.__name__)", "__main__\n__main__\n", 0),
    "class pickles": (
        "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A)",
        "True\n",
        0,
    ),
    "stdin is at its end": ("import sys; print(repr(sys.stdin.read()))", "''\n", 0),
    "exit status": ("import sys; sys.exit(7)", "", 7),
    "exit status wraps": ("import sys; sys.exit(-1)", "", 255),
    "exit without status": ("print('x'); raise SystemExit", "x\n", 0),
    "exit in atexit order": (
        "import atexit\natexit.register(print, 'last')\natexit.register(print, 'first')\nprint('body')",
        "body\nfirst\nlast\n",
        0,
    ),
    "thread outlives main": (
        "import threading, time\n"
        "def work():\n    time.sleep(0.05); print('done')\n"
        "threading.Thread(target=work).start()\nprint('main')",
        "main\ndone\n",
        0,
    ),
    "pool of processes": (
        "import multiprocessing as m\n"
        "def f(x): return x * x\n"
        "if __name__ == '__main__':\n    with m.Pool(2) as p: print(p.map(f, range(4)))",
        "[0, 1, 4, 9]\n",
        0,
    ),
    "spawned process": (
        "import multiprocessing as m\n"
        "def f(q): q.put('spawned')\n"
        "if __name__ == '__main__':\n"
        "    c = m.get_context('spawn'); q = c.Queue(); p = c.Process(target=f, args=(q,))\n"
        "    p.start(); print(q.get()); p.join()",
        "spawned\n",
        0,
    ),
    "executor": (
        "from concurrent.futures import ThreadPoolExecutor as T\nprint(list(T(2).map(abs, [-1, 2])))",
        "[1, 2]\n",
        0,
    ),
    "subprocess": (
        "import subprocess\nprint(subprocess.run(['echo', 'hi'], capture_output=True, text=True).stdout)",
        "hi\n\n",
        0,
    ),
    "own interpreter": (
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(2)'], check=True)",
        "2\n",
        0,
    ),
    "asyncio": ("import asyncio\nasync def f(): print(3)\nasyncio.run(f())", "3\n", 0),
    "fork": (
        "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0); print('parent')\nelse: print('child')",
        "child\nparent\n",
        0,
    ),
    "coding cookie": ("# -*- coding: latin-1 -*-\nprint(ascii('\u00c3'))", "'\\xc3\\x83'\n", 0),
    "future import": ("from __future__ import annotations\ndef f(x: y): pass\nprint(1)", "1\n", 0),
    "own excepthook": (
        "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\n1/0",
        "hook ZeroDivisionError\n",
        1,
    ),
    "excepthook that fails": (
        "import sys\ndef hook(*a): raise ValueError\nsys.excepthook = hook\nprint('x')\n1/0",
        "x\n",
        1,
    ),
    "terminated child": (
        "import multiprocessing as m, time\n"
        "p = m.get_context('fork').Process(target=time.sleep, args=(60,)); p.start(); p.terminate()\n"
        "p.join(); print(p.exitcode)",
        "-15\n",
        0,
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
async def test_program_behaves_as_in_its_own_interpreter(shared: Client, name: str) -> None:
    code, stdout, status = PROGRAMS[name]
    answer = await shared.run(code)
    assert (answer.stdout.decode(), answer.end["outcome"], answer.end["exit_code"]) == (
        stdout,
        "exit",
        status,
    ), answer.stderr.decode()


async def test_arguments(shared: Client) -> None:
    answer = await shared.run("import sys; print(sys.argv[1:])", "a b", "é", "")
    assert answer.stdout.decode() == "['a b', 'é', '']\n"


async def test_text_of_exit_goes_to_stderr(shared: Client) -> None:
    answer = await shared.run("import sys; sys.exit('no such thing')")
    assert (answer.stderr, answer.end["exit_code"]) == (b"no such thing\n", 1)


async def test_traceback_shows_the_program_and_nothing_else(shared: Client) -> None:
    code = """
    def inner():
        raise ValueError("bad")

    try:
        inner()
    except ValueError as error:
        raise KeyError("worse") from error
    """
    answer = await shared.run(textwrap.dedent(code))
    text = answer.stderr.decode()
    assert answer.end["exit_code"] == 1
    assert "codesession_runner" not in text
    assert text.count("main.py") == 3
    assert 'raise KeyError("worse") from error' in text
    assert text.endswith("KeyError: 'worse'\n")


async def test_syntax_error(shared: Client) -> None:
    answer = await shared.run("print(1\n")
    assert answer.end["exit_code"] == 1
    assert answer.stderr.decode().startswith('  File "/tmp/')
    assert "SyntaxError" in answer.stderr.decode()


async def test_file_that_was_never_closed_is_written(shared: Client) -> None:
    answer = await shared.run("f = open('unclosed', 'w'); f.write('kept'); g = [f]; g.append(g)")
    assert answer.records == [{"path": "unclosed", "size": 4, "change": "changed"}]
    got = await shared.request({"op": "get", "path": "unclosed", "tag": ""})
    assert got.data == b"kept"


async def test_output_before_a_timeout_is_kept(shared: Client) -> None:
    answer = await shared.run("import time; print('begun'); time.sleep(60)", timeout_ms=300)
    assert (answer.end["outcome"], answer.stdout) == ("timeout", b"begun\n")


async def test_each_run_has_randomness_of_its_own(shared: Client) -> None:
    code = "import random, os, uuid; print(random.random(), os.urandom(4).hex(), uuid.uuid4())"
    outputs = [(await shared.run(code)).stdout for _ in range(3)]
    assert len(set(outputs)) == 3


async def test_nothing_is_kept_between_runs_but_files(shared: Client) -> None:
    await shared.run(
        "import builtins, sys, os\nbuiltins.x = sys.x = 1\nos.environ['X'] = '1'\nopen('kept', 'w')"
    )
    answer = await shared.run(
        "import builtins, sys, os\n"
        "print(hasattr(builtins, 'x'), hasattr(sys, 'x'), 'X' in os.environ, os.path.exists('kept'))"
    )
    assert answer.stdout == b"False False False True\n"


async def test_modules_are_imported_from_the_workspace(shared: Client) -> None:
    await shared.request({"op": "put", "path": "helper.py", "tag": ""}, b"def f(): return 5\n")
    answer = await shared.run("import helper; print(helper.f())")
    assert answer.stdout == b"5\n"
    assert answer.records == []


async def test_interrupt_by_itself_is_a_signal(shared: Client) -> None:
    answer = await shared.run("import os, signal; print('x'); os.kill(os.getpid(), signal.SIGINT)")
    assert (answer.end["outcome"], answer.end["signal"], answer.stdout) == ("signal", 2, b"x\n")


async def test_packages_are_imported_ahead_for_programs_that_ask(tmp_path: Path) -> None:
    code = "import sys; print('xml.dom.minidom' in sys.modules)"
    async with (
        running(tmp_path, preload="no_such_module,xml.dom.minidom") as runner,
        connected(runner) as client,
    ):
        for _ in range(5):
            assert (await client.run(code)).stdout == b"False\n"
            assert (
                await client.run("try: import a_package\nexcept ImportError: pass\n" + code)
            ).stdout == b"True\n"


async def test_bash_programs(shared: Client) -> None:
    answer = await shared.run('echo "$1|$2"; python3 -c "print(6)"; exit 3', "a b", "c", lang="bash")
    assert (answer.stdout, answer.end["outcome"], answer.end["exit_code"]) == (b"a b|c\n6\n", "exit", 3)


async def test_a_broken_pipe_ends_a_bash_program_silently(shared: Client) -> None:
    answer = await shared.run("set -o pipefail; yes | head -1; echo $?", lang="bash")
    assert (answer.stdout, answer.stderr) == (b"y\n141\n", b"")


async def test_the_environment_tells_nothing_of_the_sandbox(shared: Client) -> None:
    answer = await shared.run("env; tr '\\0' '\\n' < /proc/$PPID/environ; pwd", lang="bash")
    python = await shared.run("import os; print(os.environ); print(open('/proc/self/environ').read())")
    assert b"CODESESSION" not in answer.stdout.rpartition(b"PWD=")[0] + python.stdout
    assert b"HOME=" in answer.stdout
