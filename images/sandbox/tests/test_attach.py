"""A run outlives the connection that asked for it, and is never run twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from codesession_runner.errors import OperationError
from codesession_runner.frames import Frame, Kind, credit
from codesession_runner.languages import available
from codesession_runner.run import Outcome, Run, end_of
from codesession_runner.runs import MAX_WAITING, MAX_WAITING_BYTES, RING_COUNT, Runs
from runner_testing import RunnerProcess, connected

COUNTED = b"echo once >> count; echo out; echo err >&2; until [ -e go ]; do sleep 0.02; done; echo end"


async def test_attach_after_a_cut_brings_the_same_bytes(runner: RunnerProcess) -> None:
    first = await runner.connect()
    channel = first.open({"op": "run", "run": "cut", "lang": "bash"}, COUNTED)
    await first.frame(channel, Kind.STDOUT)
    first.cut()
    async with connected(runner) as second:
        attached = second.open({"op": "attach", "run": "cut"})
        again = second.open({"op": "run", "run": "cut", "lang": "bash"}, COUNTED)
        await second.frame(attached, Kind.STDOUT)
        await second.request({"op": "put", "path": "go", "tag": ""}, b"")
        answers = [await second.answer(attached), await second.answer(again)]
        answers.append(await second.request({"op": "attach", "run": "cut"}))
        counted = await second.request({"op": "get", "path": "count", "tag": ""})
    assert [(answer.stdout, answer.stderr) for answer in answers] == [(b"out\nend\n", b"err\n")] * 3
    assert answers[0].end == answers[1].end == answers[2].end
    assert answers[0].records == answers[2].records == [{"path": "count", "size": 5, "change": "changed"}]
    assert counted.data == b"once\n"


async def test_a_cut_before_the_code_was_whole_runs_nothing(runner: RunnerProcess) -> None:
    first = await runner.connect()
    channel = first.open({"op": "run", "run": "half", "lang": "bash"})
    first.send(Frame(Kind.DATA, channel, b"touch ran"))
    first.cut()
    async with connected(runner) as second:
        assert (await second.request({"op": "attach", "run": "half"})).error == "unknown_run"
        assert (await second.request({"op": "list"})).records == []


async def test_two_connections_at_once(runner: RunnerProcess) -> None:
    async with connected(runner) as one, connected(runner) as two:
        assert one.hello == two.hello
        channels = [one.open({"op": "run", "run": "shared", "lang": "bash"}, b"echo once >> count; echo $$")]
        answers = [
            await two.run("print(2)"),
            await two.request({"op": "run", "run": "shared", "lang": "bash"}, b"echo twice >> count"),
            await one.answer(channels[0]),
        ]
        counted = await one.request({"op": "get", "path": "count", "tag": ""})
    assert answers[0].stdout == b"2\n"
    assert answers[1].stdout == answers[2].stdout != b""
    assert counted.data == b"once\n"


async def test_a_slow_follower_gets_all_of_it_too(runner: RunnerProcess) -> None:
    code = b"import os, time\nfor _ in range(8): os.write(1, bytes(100_000)); time.sleep(0.01)"
    async with connected(runner, generous=False) as slow, connected(runner) as quick:
        channel = slow.open({"op": "run", "run": "r", "lang": "py"}, code)
        await slow.frame(channel, Kind.STDOUT)
        assert len((await quick.request({"op": "attach", "run": "r"})).stdout) == 800_000
        slow.send(credit(channel, 800_000))
        assert len((await slow.answer(channel)).stdout) == 800_000


async def test_a_put_during_a_run_is_no_change_of_the_run(runner: RunnerProcess) -> None:
    async with connected(runner) as client:
        channel = client.open({"op": "run", "run": "r", "lang": "bash"}, COUNTED)
        await client.frame(channel, Kind.STDOUT)
        await client.request({"op": "put", "path": "go", "tag": ""}, b"x")
        assert [record["path"] for record in (await client.answer(channel)).records] == ["count"]


class Held:
    """Stands for the executor: a run ends when the test says so, or when it is cancelled."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.release = asyncio.Event()

    async def __call__(self, run: Run) -> Mapping[str, Any]:
        self.started.append(run.id)
        run.on_cancel = self.release.set
        await self.release.wait()
        return end_of(Outcome.CANCELLED if run.cancelled else Outcome.EXIT)


def make_run(name: str, code: bytes = b"") -> Run:
    return Run(name, available(["py"])["py"], code, [], 1.0)


async def follow(runs: Runs, run: Run) -> Mapping[str, Any]:
    with runs.following(run):
        async for _ in run.follow():
            pass
    assert run.result is not None
    return run.result


async def test_output_and_end_that_come_together_are_sent_together() -> None:
    run = make_run("quick")
    following = asyncio.create_task(collect(run))
    await asyncio.sleep(0)
    run.write(Kind.STDOUT, b"a")
    await asyncio.sleep(0)
    run.write(Kind.STDOUT, b"b")
    run.end({})
    assert await following == [(Kind.STDOUT, b"ab")]


async def collect(run: Run) -> list[tuple[Kind, bytes]]:
    return [piece async for piece in run.follow()]


async def test_a_run_that_nobody_follows_is_cancelled() -> None:
    runs = Runs(Held(), orphan_seconds=0.01)
    worker = asyncio.create_task(runs.work())
    run = make_run("orphan")
    runs.submit(run)
    with runs.following(run):
        pass
    async for _ in run.follow():
        pass
    assert run.result is not None
    assert run.result["outcome"] == "cancelled"
    worker.cancel()


async def test_a_follower_in_time_keeps_a_run() -> None:
    held = Held()
    runs = Runs(held, orphan_seconds=0.01)
    worker = asyncio.create_task(runs.work())
    run = make_run("kept")
    runs.submit(run)
    with runs.following(run):
        pass
    follower = asyncio.create_task(follow(runs, run))
    await asyncio.sleep(0.05)
    assert run.result is None
    held.release.set()
    assert (await follower)["outcome"] == "exit"
    worker.cancel()


async def test_too_many_waiting_runs_are_refused() -> None:
    runs = Runs(Held())
    for number in range(MAX_WAITING):
        runs.submit(make_run(f"{number}"))
    with pytest.raises(OperationError, match="too many"):
        runs.submit(make_run("one more"))
    assert runs.find("one more") is None


async def test_too_much_waiting_code_is_refused() -> None:
    runs = Runs(Held())
    runs.submit(make_run("large", b"#" * (MAX_WAITING_BYTES // 2)))
    with pytest.raises(OperationError, match="too many"):
        runs.submit(make_run("larger", b"#" * (MAX_WAITING_BYTES // 2 + 1)))


async def test_ended_runs_are_forgotten_in_the_end() -> None:
    held = Held()
    held.release.set()
    runs = Runs(held)
    worker = asyncio.create_task(runs.work())
    for number in range(RING_COUNT + 1):
        run = make_run(f"{number}")
        runs.submit(run)
        await follow(runs, run)
    assert runs.find("0") is None
    assert runs.find("1") is not None
    worker.cancel()


async def test_an_executor_that_fails_ends_the_run_with_an_error(tmp_path: Path) -> None:
    async def fail(run: Run) -> Mapping[str, Any]:
        raise OSError("disk on fire")

    runs = Runs(fail)
    worker = asyncio.create_task(runs.work())
    run = make_run("failing")
    runs.submit(run)
    assert (await follow(runs, run))["error"]["code"] == "internal"
    worker.cancel()
