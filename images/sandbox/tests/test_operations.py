"""Every operation against a real runner."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from codesession_runner.frames import MAX_PAYLOAD, WINDOW, Frame, Kind
from runner_testing import Client, RunnerProcess, connected, entries, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_hello_tells_what_the_sandbox_offers(shared: Client) -> None:
    hello = shared.hello
    assert (hello["protocol"], hello["runner"], hello["languages"]) == (1, "0.1.0", ["py", "bash"])
    assert hello["limits"] == {
        "run_seconds": 120,
        "output_bytes": 1048576,
        "file_bytes": 52428800,
        "files": 1000,
        "processes": 128,
        "memory_bytes": 0,
    }
    assert len(hello["boot"]) == 16


async def test_put_and_get_large(shared: Client) -> None:
    data = os.urandom(3 * WINDOW + 1)
    put = await shared.request({"op": "put", "path": "dir/b.bin", "tag": "t", "size": len(data)}, data)
    got = await shared.request({"op": "get", "path": "dir/b.bin", "tag": "t"})
    assert put.end == got.end == {"size": len(data)}
    assert got.data == data


@pytest.mark.parametrize(
    "name", ["plain", "with space", "données-日本.csv", "-rf", "new\nline", "x\udcff", "a/b/c/d"]
)
async def test_names(shared: Client, shared_runner: RunnerProcess, name: str) -> None:
    assert (await shared.request({"op": "put", "path": name, "tag": ""}, b"x")).end == {"size": 1}
    assert (shared_runner.workspace / name).read_bytes() == b"x"
    listed = await shared.request({"op": "list"})
    assert name in [record["path"] for record in listed.records]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../x",
        "a//b",
        ".",
        "./x",
        "a/",
        "x\0y",
        "n" * 256,
        "d/" * 40 + "x",
        5,
        None,
    ],
)
@pytest.mark.parametrize("op", ["put", "get"])
async def test_paths_that_are_refused(shared: Client, op: str, path: object) -> None:
    answer = await shared.request({"op": op, "path": path, "tag": ""}, b"" if op == "put" else None)
    assert answer.error == "bad_request"


async def test_symlinks_are_never_followed(
    shared: Client, shared_runner: RunnerProcess, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("s")
    (shared_runner.workspace / "link").symlink_to(outside)
    (shared_runner.workspace / "file").symlink_to(outside / "secret")
    for path in ("link/secret", "file"):
        assert (await shared.request({"op": "get", "path": path, "tag": ""})).error == "bad_request"
    assert (await shared.request({"op": "put", "path": "link/new", "tag": ""}, b"x")).error == "bad_request"
    assert (await shared.request({"op": "put", "path": "file", "tag": ""}, b"x")).end == {"size": 1}
    assert (outside / "secret").read_text() == "s"
    assert [path.name for path in outside.iterdir()] == ["secret"]
    listed = await shared.request({"op": "list"})
    assert not [record for record in listed.records if record["path"].startswith("link")]


@pytest.mark.parametrize("kind", ["fifo", "directory", "socket"])
async def test_only_regular_files_are_read(shared: Client, kind: str) -> None:
    makers = {
        "fifo": "import os; os.mkfifo('fifo')",
        "directory": "import os; os.mkdir('directory')",
        "socket": "import socket; socket.socket(socket.AF_UNIX).bind('socket')",
    }
    assert (await shared.run(makers[kind])).records == []
    assert (await shared.request({"op": "get", "path": kind, "tag": ""})).error == "bad_request"


async def test_an_upload_replaces_whole_or_not_at_all(shared: Client, shared_runner: RunnerProcess) -> None:
    await shared.request({"op": "put", "path": "whole", "tag": ""}, b"old")
    for refused in (
        await shared.request({"op": "put", "path": "whole", "tag": "", "size": 9}, b"new"),
        await shared.request({"op": "put", "path": "whole", "tag": "", "size": 2}, b"new"),
    ):
        assert refused.error == "bad_request"
    assert (shared_runner.workspace / "whole").read_bytes() == b"old"
    assert not list(shared_runner.workspace.glob(".codesession*"))


async def test_read_only_files_say_so(shared: Client, shared_runner: RunnerProcess) -> None:
    for _ in range(2):  # replacing one works as well
        await shared.request({"op": "put", "path": "ro", "tag": "", "read_only": True}, b"x")
    assert (shared_runner.workspace / "ro").stat().st_mode & 0o777 == 0o444


async def test_a_file_keeps_its_tag_until_it_changes(shared: Client) -> None:
    await shared.request({"op": "put", "path": "tagged", "tag": "one"}, b"x")

    async def missing() -> list[str]:
        body = entries(("tagged", "one"), ("tagged", "two"), ("nowhere", "one"))
        return [record["path"] for record in (await shared.request({"op": "missing"}, body)).records]

    assert await missing() == ["tagged", "nowhere"]
    await shared.request({"op": "get", "path": "tagged", "tag": "two"})
    assert await missing() == ["tagged", "nowhere"]
    await shared.run("open('tagged', 'w').write('y')")
    assert await missing() == ["tagged", "tagged", "nowhere"]


async def test_a_run_reports_what_it_changed(shared: Client) -> None:
    for name in ("kept", "changed", "gone", "touched"):
        await shared.request({"op": "put", "path": f"report/{name}", "tag": ""}, b"12345")
    answer = await shared.run(
        "import os\nos.chdir('report')\n"
        "open('kept').read()\n"
        "open('changed', 'r+').write('54321')\n"
        "os.unlink('gone')\n"
        "os.makedirs('new/dir/__pycache__')\n"
        "open('new/dir/file', 'w').write('x')\n"
        "open('new/dir/__pycache__/cached.pyc', 'w')\n"
        "os.symlink('kept', 'link')\n"
    )
    assert answer.records == [
        {"path": "report/changed", "size": 5, "change": "changed"},
        {"path": "report/new/dir/file", "size": 1, "change": "changed"},
        {"path": "report/gone", "size": 0, "change": "deleted"},
    ]


async def test_many_files(runner_with_many: Client) -> None:
    answer = await runner_with_many.run("import os\nfor n in range(0, 300, 2): os.unlink(f'n{n}')")
    assert [record["path"] for record in answer.records] == sorted(f"n{n}" for n in range(0, 300, 2))
    listed = await runner_with_many.request({"op": "list"})
    assert [record["path"] for record in listed.records] == sorted(f"n{n}" for n in range(1, 300, 2))


@pytest_asyncio.fixture(loop_scope="module")
async def runner_with_many(tmp_path: Path) -> AsyncIterator[Client]:
    (tmp_path / "data").mkdir()
    for number in range(300):
        (tmp_path / "data" / f"n{number}").write_text("")
    async with running(tmp_path) as runner, connected(runner) as client:
        yield client


async def test_cancel_by_operation_and_by_frame(shared: Client) -> None:
    endless = {"op": "run", "run": "endless", "lang": "bash"}
    channel = shared.open(endless, b"echo begun; sleep 600")
    await shared.frame(channel, Kind.STDOUT)
    assert (await shared.request({"op": "cancel", "run": "endless"})).end == {}
    answer = await shared.answer(channel)
    assert (answer.end["outcome"], answer.stdout) == ("cancelled", b"begun\n")

    channel = shared.open({**endless, "run": "endless2"}, b"echo begun; sleep 600")
    await shared.frame(channel, Kind.STDOUT)
    shared.send(Frame(Kind.CANCEL, channel))
    assert (await shared.answer(channel)).end["outcome"] == "cancelled"


async def test_a_cancelled_upload_leaves_nothing(shared: Client, shared_runner: RunnerProcess) -> None:
    channel = shared.open({"op": "put", "path": "half", "tag": ""})
    shared.send(Frame(Kind.DATA, channel, b"x"), Frame(Kind.CANCEL, channel))
    assert (await shared.answer(channel)).error == "cancelled"
    assert not (shared_runner.workspace / "half").exists()


async def test_runs_wait_for_one_another(shared: Client) -> None:
    channels = [
        shared.open(
            {"op": "run", "run": f"queued{number}", "lang": "bash"},
            b"[ ! -e lock ] && touch lock && echo %d >> order && rm lock" % number,
        )
        for number in range(5)
    ]
    assert [(await shared.answer(channel)).end["exit_code"] for channel in channels] == [0] * 5
    got = await shared.request({"op": "get", "path": "order", "tag": ""})
    assert got.data == b"0\n1\n2\n3\n4\n"


async def test_waiting_is_no_part_of_a_timeout(shared: Client) -> None:
    first = shared.open({"op": "run", "run": "slow", "lang": "bash"}, b"sleep 0.6")
    second = shared.open({"op": "run", "run": "quick", "lang": "py", "timeout_ms": 400}, b"print(1)")
    assert (await shared.answer(second)).end["outcome"] == "exit"
    await shared.answer(first)


async def test_a_waiting_run_can_be_cancelled(shared: Client) -> None:
    first = shared.open({"op": "run", "run": "holding", "lang": "bash"}, b"sleep 600")
    second = shared.open({"op": "run", "run": "waiting", "lang": "py"}, b"open('ran', 'w')")
    shared.send(Frame(Kind.CANCEL, second))
    answer = await shared.answer(second)
    assert answer.end["outcome"] == "cancelled"
    shared.send(Frame(Kind.CANCEL, first))
    assert (await shared.answer(first)).records == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "bad_request"),
        ({"op": "sudo"}, "bad_request"),
        ({"op": ["run"]}, "bad_request"),
        ({"op": "run", "lang": "py"}, "bad_request"),
        ({"op": "run", "run": "a b", "lang": "py"}, "bad_request"),
        ({"op": "run", "run": "a" * 65, "lang": "py"}, "bad_request"),
        ({"op": "run", "run": "x", "lang": "cobol"}, "unsupported_language"),
        ({"op": "run", "run": "x", "lang": {"a": 1}}, "unsupported_language"),
        ({"op": "run", "run": "x", "lang": "py", "args": "ls"}, "bad_request"),
        ({"op": "run", "run": "x", "lang": "py", "args": [1]}, "bad_request"),
        ({"op": "run", "run": "x", "lang": "py", "args": ["\0"]}, "bad_request"),
        ({"op": "run", "run": "x", "lang": "py", "args": ["x"] * 257}, "bad_request"),
        ({"op": "run", "run": "x", "lang": "py", "args": ["x" * 66_000]}, "bad_request"),
        ({"op": "run", "run": "x", "lang": "py", "timeout_ms": -1}, "bad_request"),
        ({"op": "run", "run": "x", "lang": "py", "timeout_ms": True}, "bad_request"),
        ({"op": "run", "run": "x", "lang": "py", "timeout_ms": float("nan")}, "bad_request"),
        ({"op": "attach", "run": "never"}, "unknown_run"),
        ({"op": "cancel", "run": "never"}, "unknown_run"),
        ({"op": "attach"}, "bad_request"),
        ({"op": "get", "path": "absent", "tag": ""}, "not_found"),
        ({"op": "get", "path": "absent/absent", "tag": ""}, "not_found"),
        ({"op": "get", "path": "absent", "tag": 5}, "bad_request"),
        ({"op": "put", "path": "x", "tag": "t" * 129}, "bad_request"),
        ({"op": "put", "path": "x", "tag": "", "size": -1}, "bad_request"),
        ({"op": "put", "path": "x", "tag": "", "size": 2**40}, "too_large"),
        ({"op": "put", "path": "x", "tag": "", "read_only": "no"}, "bad_request"),
    ],
)
async def test_requests_that_are_refused(shared: Client, body: dict[str, object], code: str) -> None:
    answer = await shared.request(body, b"")
    assert answer.error == code


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"[1]", b"[" * 100_000, b"\xff"])
async def test_lists_that_are_refused(shared: Client, data: bytes) -> None:
    assert (await shared.request({"op": "missing"}, data)).error == "bad_request"


async def test_code_may_be_larger_than_a_window(shared: Client) -> None:
    answer = await shared.run("#" * (WINDOW + MAX_PAYLOAD) + "\nprint(1)")
    assert answer.stdout == b"1\n"


async def test_unix_socket_and_standard_streams_serve_alike(tmp_path: Path) -> None:
    async with running(tmp_path, stdio=True) as runner, connected(runner) as client:
        assert (
            await client.run("import sys, os; os.write(1, b'\\0\\xff'); sys.stdin.read()")
        ).stdout == b"\0\xff"
        assert [standard_stream(runner, number) for number in (0, 1)] == [os.devnull] * 2


async def test_the_end_of_standard_input_ends_the_runner(tmp_path: Path) -> None:
    async with running(tmp_path, stdio=True) as runner:
        client = await runner.connect()
        client.open({"op": "run", "run": "x", "lang": "bash"}, b"sleep 600")
        await client.aclose()
        assert await runner.process.wait() == 0


def standard_stream(runner: RunnerProcess, number: int) -> str:
    """What a descriptor of the runner's is."""
    return str(Path(f"/proc/{runner.process.pid}/fd/{number}").readlink())
