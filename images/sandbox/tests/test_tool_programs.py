"""Programs that call tools: one process that waits for what comes of its calls."""

from __future__ import annotations

import asyncio
import json
import os
import textwrap
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from codesession_runner.frames import Frame, Kind
from runner_testing import Answer, Client, RunnerProcess, connected, running

TOOLS = [{"name": "add-it", "identifier": "add"}, {"name": "fail", "identifier": "fail"}]


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[RunnerProcess]:
    async with running(tmp_path, ready_children=1) as process:
        yield process


@pytest.fixture
async def client(runner: RunnerProcess) -> AsyncIterator[Client]:
    async with connected(runner) as connection:
        yield connection


def opening(lang: str = "py", run: str = "r", **options: Any) -> dict[str, Any]:
    return {"op": "run", "run": run, "lang": lang, "tools": TOOLS, **options}


async def begin(client: Client, code: str, lang: str = "py", **options: Any) -> Answer:
    return await client.request(opening(lang, **options), textwrap.dedent(code).encode())


async def resume(
    client: Client, number: int, results: Sequence[Any], by: str | None = None, **options: Any
) -> Answer:
    body = {"op": "results", "run": "r", "round": number, "answer": by or f"by-{number}", **options}
    return await client.request(body, json.dumps(results).encode())


def calls(answer: Answer) -> list[Any]:
    assert answer.end["outcome"] == "calls", (answer.end, answer.stdout, answer.stderr)
    found: list[Any] = json.loads(answer.data)
    return found


def value(number: int, result: Any) -> dict[str, Any]:
    return {"id": f"call_{number:03}", "value": result}


async def finish(client: Client, answer: Answer) -> Answer:
    """Add what there is to add, and fail what is to fail, to the end; `rounds` are counted."""
    while answer.end.get("outcome") == "calls":
        results = [
            {"id": call["id"], "error": f"no {call['input']}"}
            if call["name"] == "fail"
            else {"id": call["id"], "value": {"sum": sum(call["input"].values())}}
            for call in calls(answer)
        ]
        answer = await resume(client, answer.end["round"], results)
    return answer


PYTHON = """
    import asyncio, os
    print("begun", os.getpid())
    one = await add(a=1, b=2)
    print(one["sum"])
    print([r["sum"] for r in await asyncio.gather(*(add(a=n) for n in range(3)))])
    try:
        await fail(x=1)
    except ToolError as error:
        print("failed:", error)
    print("ended", os.getpid())
"""
BASH = r"""
    : &
    wait "$!"
    echo begun $$
    add '{"a": 1, "b": 2}'
    for n in 0 1 2; do { r=$(add "{\"a\": $n}"); echo "$r" > "$n.txt"; } & done
    wait
    cat 0.txt 1.txt 2.txt
    fail '{"x": 1}' 2>&1 || echo "status $?"
    echo ended $$
"""


async def test_a_python_program_goes_on_where_it_waited(client: Client) -> None:
    first = await begin(client, PYTHON)
    assert calls(first) == [{"id": "call_001", "name": "add-it", "input": {"a": 1, "b": 2}}]
    assert first.end["round"] == 1
    assert first.stdout.startswith(b"begun ")
    second = await resume(client, 1, [value(1, {"sum": 3})])
    assert [call["input"] for call in calls(second)] == [{"a": 0}, {"a": 1}, {"a": 2}]
    end = await finish(client, second)
    lines = end.stdout.decode().splitlines()
    assert end.end["outcome"] == "exit", end.stderr
    assert lines[1:-1] == ["3", "[0, 1, 2]", "failed: no {'x': 1}"]
    assert lines[0].split()[1] == lines[-1].split()[1]


async def test_a_bash_program_goes_on_where_it_waited(client: Client) -> None:
    first = await begin(client, BASH, "bash")
    assert calls(first) == [{"id": "call_001", "name": "add-it", "input": {"a": 1, "b": 2}}]
    second = await resume(client, 1, [value(1, {"sum": 3})])
    # At one time; on a machine that is busy one may come too late for the others' batch.
    assert {call["input"]["a"] for call in calls(second)} <= {0, 1, 2}
    end = await finish(client, second)
    lines = end.stdout.decode().splitlines()
    assert end.end["exit_code"] == 0, end.stderr
    assert lines[1:-1] == [
        '{"sum":3}',
        '{"sum":0}',
        '{"sum":1}',
        '{"sum":2}',
        "fail: no {'x': 1}",
        "status 1",
    ]
    assert lines[0].split()[1] == lines[-1].split()[1]
    assert sorted(record["path"] for record in end.records) == ["0.txt", "1.txt", "2.txt"]


@pytest.mark.parametrize(
    ("code", "stdout", "stderr", "status"),
    [
        ("print(1)", "1\n", "", 0),
        ("x = 1\ndef f():\n    global x\n    x += 1\nf()\nprint(x)", "2\n", "", 0),
        ("print(1)\nreturn\nprint(2)", "1\n", "", 0),
        ("await asyncio.sleep(0)\nreturn 3", "", "", 0),
        ("async def main():\n    print((await add(a=1))['sum'])\nasyncio.run(main())", "1\n", "", 0),
        ("print(json.dumps(await add(a=True)))", '{"sum": 1}\n', "", 0),
        ("import sys\nawait add(a=1)\nsys.exit(7)", "", "", 7),
        ("await add(1)", "", "takes 0 positional arguments", 1),
        ("await add(a=object())", "", "not JSON serializable", 1),
        ("await add(a=float('nan'))", "", "Out of range float", 1),
        ("await fail(a=1)", "", "ToolError: no {'a': 1}", 1),
        ("await nope()", "", "NameError", 1),
        ("if True print()", "", "SyntaxError", 1),
        (
            "import threading\nt = threading.Thread(target=lambda: asyncio.run(p()))\n"
            "async def p(): print((await add(a=5))['sum'])\nt.start(); t.join()",
            "5\n",
            "",
            0,
        ),
        (
            "async def spin():\n    while not done: await asyncio.sleep(0)\ndone = False\n"
            "t = asyncio.create_task(spin())\nprint((await add(a=2))['sum']); done = True; await t",
            "2\n",
            "",
            0,
        ),
    ],
)
async def test_python_programs(client: Client, code: str, stdout: str, stderr: str, status: int) -> None:
    end = await finish(client, await begin(client, code))
    assert (end.stdout.decode(), end.end.get("exit_code")) == (stdout, status), end
    assert stderr in end.stderr.decode() if stderr else not end.stderr


async def test_a_traceback_shows_the_program_alone(client: Client) -> None:
    end = await begin(client, "await asyncio.sleep(0)\n1 / 0")
    assert end.stderr.decode().count("File ") == 1
    assert 'main.py", line 2, in <module>' in end.stderr.decode()


@pytest.mark.parametrize(
    ("code", "stdout", "stderr", "status"),
    [
        ("echo 1", "1\n", "", 0),
        ("add", '{"sum":0}\n', "", 0),
        ("add '{' || echo $?", "1\n", "add: The input is no JSON.", 0),
        ("add '{}' '{}' || echo $?", "2\n", "takes one JSON argument", 0),
        ("set -e; fail '{}'; echo no", "", "fail: no {}", 1),
        ("IFS=0123; set -u; add '{\"a\": 10}'", '{"sum":10}\n', "", 0),
        ("bash -c \"add '{}'\"", '{"sum":0}\n', "", 0),
        ("echo x | { cat > /dev/null; add '{}'; }", '{"sum":0}\n', "", 0),
        ("read() { echo no; }; printf() { echo no; }; add '{}'", '{"sum":0}\n', "", 0),
        ('x=$(add \'{"a": 1}\') && echo "<$x>"', '<{"sum":1}>\n', "", 0),
    ],
)
async def test_bash_programs(client: Client, code: str, stdout: str, stderr: str, status: int) -> None:
    end = await finish(client, await begin(client, code, "bash"))
    assert (end.stdout.decode(), end.end.get("exit_code")) == (stdout, status), end
    assert stderr in end.stderr.decode() if stderr else not end.stderr


@pytest.mark.parametrize("lang", ["py", "bash"])
@pytest.mark.parametrize("large", ["ü" * 100_000, "line\n" * 1000, "'\"$(x)\\"])
async def test_values_come_whole(client: Client, lang: str, large: str) -> None:
    given = json.dumps({"large": large})
    await client.request({"op": "put", "path": "in.json", "tag": ""}, given.encode())
    code = {
        "py": "r = await add(**json.load(open('in.json'))); print(r == json.load(open('in.json')))",
        "bash": 'add "$(cat in.json)" > out; python3 -c "import json; '
        "print(json.load(open('in.json')) == json.load(open('out')))\"",
    }[lang]
    first = await begin(client, code, lang)
    assert calls(first)[0]["input"] == {"large": large}
    end = await resume(client, 1, [value(1, {"large": large})])
    assert (end.stdout, end.stderr) == (b"True\n", b"")


@pytest.mark.parametrize("lang", ["py", "bash"])
async def test_another_connection_can_go_on_after_the_first_was_cut(runner: RunnerProcess, lang: str) -> None:
    code = {"py": "open('n', 'a').write('1')\nprint(await add(a=1))", "bash": "echo -n 1 >> n; add '{}'"}[
        lang
    ]
    first = await runner.connect()
    assert calls(await begin(first, code, lang))
    first.cut()
    async with connected(runner) as second:
        assert calls(await second.request({"op": "attach", "run": "r"}))
        end = await resume(second, 1, [value(1, 5)])
        again = await resume(second, 1, [value(1, 6)])
        other = await resume(second, 1, [value(1, 6)], by="other")
        counted = await second.request({"op": "get", "path": "n", "tag": ""})
    assert end.stdout == again.stdout == b"5\n"
    assert other.error == "conflict"
    assert counted.data == b"1"


async def test_a_round_that_two_answer_at_once_is_one_ones(client: Client) -> None:
    await begin(client, "print(await add())")
    answers = await asyncio.gather(*(resume(client, 1, [value(1, n)], by=f"by-{n}") for n in range(5)))
    assert sorted(answer.error or "" for answer in answers) == ["", *["conflict"] * 4]


async def test_time_stands_still_while_tools_are_called(client: Client) -> None:
    first = await begin(client, "await add()\nprint(1)\nawait add()\nprint(2)", timeout_ms=700)
    calls(first)
    await asyncio.sleep(1)
    calls(await resume(client, 1, [value(1, 0)]))
    await asyncio.sleep(1)
    end = await resume(client, 2, [value(2, 0)])
    assert (end.end["outcome"], end.stdout) == ("exit", b"1\n2\n")
    assert end.end["wall_ms"] < 700


async def test_a_program_that_takes_too_long_after_its_tools_is_stopped(client: Client) -> None:
    calls(await begin(client, "await add()\nprint(1, flush=True)\nwhile True: pass", timeout_ms=500))
    end = await resume(client, 1, [value(1, 0)])
    assert (end.end["outcome"], end.stdout) == ("timeout", b"1\n")
    assert (await resume(client, 2, [])).error == "unknown_run"


@pytest.mark.parametrize("lang", ["py", "bash"])
async def test_a_program_that_waits_needs_no_processor(client: Client, lang: str) -> None:
    code = {"py": "import os; print(os.getpid(), flush=True); await add()", "bash": "echo $$; add"}[lang]
    pid = int(calls_and_pid(await begin(client, code, lang)))
    before = processor_ticks(pid)
    await asyncio.sleep(1)
    assert processor_ticks(pid) - before <= 1
    end = await resume(client, 1, [value(1, 0)])
    assert end.end["outcome"] == "exit"


def calls_and_pid(answer: Answer) -> str:
    calls(answer)
    return answer.stdout.decode()


def processor_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize("how", ["run", "request", "disconnect"])
async def test_a_run_that_waits_can_be_cancelled(runner: RunnerProcess, client: Client, how: str) -> None:
    first = await begin(client, "import os; print(os.getpid(), flush=True)\nawait add()", request="step-1")
    pid = int(calls_and_pid(first))
    if how == "disconnect":
        other = await runner.connect()
        channel = other.open({"op": "results", "run": "r", "round": 1, "answer": "a"})
        other.send(Frame(Kind.CANCEL, channel))
        assert (await other.answer(channel)).error == "cancelled"
        await other.aclose()
    else:
        named = {"run": "r"} if how == "run" else {"request": "step-1"}
        assert (await client.request({"op": "cancel", **named})).end == {}
    end = await client.request({"op": "attach", "run": "r"})
    while end.end["outcome"] == "calls":
        end = await client.request({"op": "attach", "run": "r"})
    assert end.end["outcome"] == "cancelled"
    assert pid not in {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208
    assert (await client.request({"op": "cancel", "request": "step-1"})).error == "unknown_run"


@pytest.mark.parametrize(
    "code",
    [
        "import os\n[os.write(n, b'x' * 5_000_000) for n in sockets()]",
        "import os\n[os.write(n, b'{]' + bytes([10])) for n in sockets()]",
        "import os\n[os.write(n, b'[1]' + bytes([10])) for n in sockets()]",
        'import os\n[os.write(n, b\'{"id": "x", "tool": 1}\' + bytes([10])) for n in sockets()]',
        "import os\n[os.close(n) for n in sockets()]",
    ],
)
async def test_nonsense_in_the_socket_costs_the_program_its_tools_alone(client: Client, code: str) -> None:
    sockets = (
        "import os, stat\ndef sockets(): return [n for n in range(3, 64)"
        " if os.path.exists(f'/proc/self/fd/{n}') and stat.S_ISSOCK(os.stat(n).st_mode)]\n"
        "import signal; signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
    )
    end = await client.request(opening(), (sockets + code).encode())
    assert end.end["outcome"] in ("exit", "signal", "oom")
    assert (await client.run("print('well')")).stdout == b"well\n"


async def test_nonsense_in_the_fifo_costs_the_program_its_tools_alone(client: Client) -> None:
    code = """
        d=${BASH_ENV%/*}
        head -c 300000 /dev/urandom > "$d/calls"
        ln -s /etc/passwd "$d/1.1.in"; echo "add 1.1" > "$d/calls"
        mkfifo "$d/2.2.in"; echo "add 2.2" > "$d/calls"
        echo '{}' > "$d/3.3.in"; ln -s /dev/null "$d/3.3.fifo"; echo "add 3.3" > "$d/calls"
        sleep 0.3
    """
    end = await finish(client, await begin(client, code, "bash"))
    assert end.end["outcome"] == "exit", end
    assert (await client.run("print('well')")).stdout == b"well\n"


@pytest.mark.parametrize("change", [{"lang": "nope"}, {"tools": {}}, {"request": "a b"}, {"run": ""}])
async def test_requests_that_make_no_sense_are_refused(client: Client, change: dict[str, Any]) -> None:
    assert (await client.request({**opening(), **change}, b"")).error in (
        "bad_request",
        "unsupported_language",
    )


@pytest.mark.parametrize("change", [{"round": "1"}, {"round": True}, {"answer": None}, {"request": "a b"}])
async def test_results_that_make_no_sense_are_refused(client: Client, change: dict[str, Any]) -> None:
    await begin(client, "await add()")
    body = {"op": "results", "run": "r", "round": 1, "answer": "a", **change}
    assert (await client.request(body, b"[]")).error == "bad_request"
    assert (await resume(client, 1, [value(1, 0)])).end["outcome"] == "exit"


async def test_a_run_without_tools_takes_no_results(client: Client) -> None:
    await client.request({"op": "run", "run": "r", "lang": "py"}, b"")
    assert (await resume(client, 1, [])).error == "bad_request"


async def test_who_answers_again_and_leaves_ends_nothing(runner: RunnerProcess, client: Client) -> None:
    await begin(client, "await add(a=1)\nimport os, time\nwhile not os.path.exists('go'): time.sleep(0.02)")
    again = {"op": "results", "run": "r", "round": 1}
    async with connected(runner) as other:
        early = other.open(again | {"answer": "other"})
        first = client.open(again | {"answer": "mine"}, json.dumps([value(1, 2)]).encode())
        late = client.open(again | {"answer": "late"}, b"[]")
        assert (await client.answer(late)).error == "conflict"
        other.send(Frame(Kind.CANCEL, early))
        assert (await other.answer(early)).error == "cancelled"
        leaving = {"op": "cancel", "run": "r", "round": 1}
        assert (await other.request(leaving | {"answer": "other"})).error == "conflict"
        await other.request({"op": "put", "path": "go", "tag": ""}, b"")
    assert (await client.answer(first)).end["outcome"] == "exit"
    assert (await client.request(leaving | {"answer": "mine"})).error is None


@pytest.mark.parametrize("leaving", [{}, {"round": 1, "answer": "mine"}])
async def test_who_leaves_before_anybody_answered_ends_the_program(
    client: Client, leaving: dict[str, Any]
) -> None:
    await begin(client, "await add(a=1)")
    assert (await client.request({"op": "cancel", "run": "r", **leaving})).end == {}
    assert (await client.request({"op": "attach", "run": "r"})).end["outcome"] == "cancelled"
