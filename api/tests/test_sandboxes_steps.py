"""Steps of programs that call tools, against a runner that follows a script, mostly a hostile one."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from codesession_api.errors import SandboxConflict, SandboxLost, SandboxRunUnknown
from codesession_api.ports import Call, Pause, Reply, RunResult, RunSpec, Tool
from codesession_api.sandboxes.channels import MAX_CALLS, MAX_CALLS_BYTES
from codesession_runner.frames import MAX_PAYLOAD, Frame, Kind, chunks, message
from scripted import ENDED, connected, session

SPEC = RunSpec("run-1", "py", "await get()", timeout=99)
TOOLS = [Tool("get it", "get")]
CALL = {"id": "call_001", "name": "get it", "input": {"a": "\ud800"}}
PAUSED = {"outcome": "calls", "round": 1}


def calls(channel: int, listed: Any, end: Any = PAUSED) -> list[Frame]:
    data = listed if isinstance(listed, bytes) else json.dumps(listed).encode()
    told = [Frame(Kind.DATA, channel, piece) for piece in chunks(data, MAX_PAYLOAD)]
    return [*told, message(Kind.END, channel, end)]


async def test_a_program_is_begun_and_gone_on_with() -> None:
    async with connected() as (connection, peer):
        beginning = asyncio.create_task(session(connection).begin(SPEC, TOOLS, "step-1"))
        channel, opened = await peer.opened()
        assert opened["op"] == "run"
        assert opened["tools"] == [{"name": "get it", "identifier": "get"}]
        assert (opened["request"], opened["timeout_ms"]) == ("step-1", 10_000)
        peer.send(Frame(Kind.STDOUT, channel, b"so far"), *calls(channel, [CALL]))
        assert await beginning == Pause(1, [Call("call_001", "get it", {"a": "\ud800"})], b"so far")
        replies = [Reply("call_001", {"b": "ü"}), Reply("call_002", error="no")]
        going_on = asyncio.create_task(session(connection).resume("run-1", 1, replies, "step-2"))
        channel, opened = await peer.opened()
        assert {**opened, "answer": ""} == {
            "op": "results",
            "run": "run-1",
            "round": 1,
            "request": "step-2",
            "answer": "",
        }
        told = await peer.receive()
        assert json.loads(told.payload) == [
            {"id": "call_001", "value": {"b": "ü"}},
            {"id": "call_002", "error": "no"},
        ]
        peer.send(Frame(Kind.STDOUT, channel, b"so far and on"), message(Kind.END, channel, ENDED))
        result = await going_on
        assert isinstance(result, RunResult)
        assert result.stdout == b"so far and on"


async def test_after_a_cut_the_code_is_not_sent_again_and_the_replies_are_the_same() -> None:
    async with connected() as (one, first), connected() as (two, second), connected() as (three, third):
        sandbox = session(one, two, three)
        beginning = asyncio.create_task(sandbox.begin(SPEC, TOOLS))
        await first.opened()
        first.cut()
        channel, opened = await second.opened()
        assert opened == {"op": "attach", "run": "run-1"}
        second.send(*calls(channel, [CALL]))
        assert isinstance(await beginning, Pause)
        going_on = asyncio.create_task(sandbox.resume("run-1", 1, [Reply("call_001", 1)]))
        _, asked = await second.opened()
        data = await second.receive()
        second.cut()
        channel, again = await third.opened()
        assert again == asked
        assert (await third.receive()).payload == data.payload
        third.send(message(Kind.END, channel, ENDED))
        assert isinstance(await going_on, RunResult)


@pytest.mark.parametrize(
    ("listed", "end"),
    [
        (b"", PAUSED),
        (b"{", PAUSED),
        (b"[" * 100_000, PAUSED),
        (b'[{"id": "call_001", "name": "get it", "input": NaN}]', PAUSED),
        ({}, PAUSED),
        ([], PAUSED),
        ([1], PAUSED),
        ([{**CALL, "id": "call_1\n"}], PAUSED),
        ([{**CALL, "id": "x" * 100}], PAUSED),
        ([{**CALL, "id": 1}], PAUSED),
        ([{**CALL, "name": ["get it"]}], PAUSED),
        ([{**CALL, "name": ""}], PAUSED),
        ([{**CALL, "name": "n" * 257}], PAUSED),
        ([{"id": "call_001", "name": "get it"}], PAUSED),
        ([CALL, CALL], PAUSED),
        ([{**CALL, "id": f"call_{n:03}"} for n in range(MAX_CALLS + 1)], PAUSED),
        (b"[" + b" " * MAX_CALLS_BYTES, PAUSED),
        ([CALL], {"outcome": "calls"}),
        ([CALL], {"outcome": "calls", "round": -1}),
        ([CALL], {"outcome": "other"}),
    ],
)
async def test_calls_that_make_no_sense_are_a_lost_sandbox(listed: Any, end: Any) -> None:
    async with connected() as (connection, peer):
        beginning = asyncio.create_task(session(connection).begin(SPEC, TOOLS))
        channel, _ = await peer.opened()
        for frame in calls(channel, listed, end):
            peer.send(frame)
            await asyncio.sleep(0)
        with pytest.raises(SandboxLost):
            await beginning


async def test_a_plain_run_makes_no_calls() -> None:
    async with connected() as (connection, peer):
        running = asyncio.create_task(session(connection).run(SPEC))
        channel, _ = await peer.opened()
        peer.send(*calls(channel, [CALL]))
        with pytest.raises(SandboxLost):
            await running


@pytest.mark.parametrize(
    ("code", "expected"), [("conflict", SandboxConflict), ("unknown_run", SandboxRunUnknown)]
)
async def test_refusals_of_an_answer(code: str, expected: type[Exception]) -> None:
    async with connected() as (connection, peer):
        going_on = asyncio.create_task(session(connection).resume("run-1", 1, []))
        channel, _ = await peer.opened()
        peer.send(message(Kind.END, channel, {"error": {"code": code, "message": "no"}}))
        with pytest.raises(expected):
            await going_on


@pytest.mark.parametrize(("end", "found"), [({}, True), ({"error": {"code": "unknown_run"}}, False)])
async def test_a_step_is_cancelled_by_its_name(end: Any, found: bool) -> None:
    async with connected() as (connection, peer):
        cancelling = asyncio.create_task(session(connection).cancel("step-1"))
        channel, opened = await peer.opened()
        assert opened == {"op": "cancel", "request": "step-1"}
        peer.send(message(Kind.END, channel, end))
        assert await cancelling is found


async def test_who_leaves_a_step_cancels_the_program() -> None:
    async with connected() as (connection, peer):
        going_on = asyncio.create_task(session(connection).resume("run-1", 1, []))
        await peer.opened()
        going_on.cancel()
        await asyncio.wait([going_on])
        while (await peer.receive()).kind is not Kind.CANCEL:
            pass
