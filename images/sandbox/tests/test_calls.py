"""Calls as the runner keeps them: gathered into rounds, answered once, never beyond a limit."""

from __future__ import annotations

import asyncio
import json

import pytest

from codesession_runner.calls import MAX_CALLS, MAX_INPUT, Calls, Result, results_of, tools_of
from codesession_runner.errors import OperationError


class Program:
    """What came of its calls, in order."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.paused: list[bool] = []
        self.calls = Calls(
            {"get": "get it"},
            on_pause=lambda: self.paused.append(True),
            on_resume=lambda: self.paused.append(False),
        )

    def call(self, text: str = "{}", identifier: str = "get") -> None:
        self.calls.make(identifier, text, self.results.append)

    async def told(self) -> list[str]:
        self.calls.settle(0)
        await asyncio.sleep(0.01)
        assert self.calls.pause is not None
        return [call["id"] for call in json.loads(self.calls.pause.encode())]


@pytest.fixture
def program() -> Program:
    return Program()


async def test_calls_are_told_by_their_names_in_rounds(program: Program) -> None:
    program.call('{"a": [null, "ü"]}')
    program.call("3")
    assert await program.told() == ["call_001", "call_002"]
    assert program.calls.pause is not None
    assert program.calls.pause.calls[0].told() == {
        "id": "call_001",
        "name": "get it",
        "input": {"a": [None, "ü"]},
    }
    program.calls.answer(1, "me", {"call_002": Result("2", failed=False)})
    assert program.results == [Result("The call got no result.", failed=True), Result("2", failed=False)]
    assert program.paused == [True, False]
    program.call()
    assert await program.told() == ["call_003"]
    assert program.calls.pause.round == 2


async def test_calls_made_while_others_are_answered_are_a_round_of_their_own(program: Program) -> None:
    program.call()
    await program.told()
    program.call()
    assert await program.told() == ["call_001"]
    program.calls.answer(1, "me", {})
    assert await program.told() == ["call_002"]


async def test_a_round_is_answered_once_and_by_one(program: Program) -> None:
    program.call()
    await program.told()
    program.calls.answer(1, "me", {})
    program.calls.answer(1, "me", {})
    with pytest.raises(OperationError) as other:
        program.calls.answer(1, "you", {})
    for number in (0, 2, -1):
        with pytest.raises(OperationError) as unknown:
            program.calls.answer(number, "me", {})
        assert unknown.value.code == "unknown_run"
    assert other.value.code == "conflict"
    assert len(program.results) == 1


async def test_a_round_that_ended_with_its_run_cannot_be_answered(program: Program) -> None:
    program.call()
    await program.told()
    program.calls.close()
    with pytest.raises(OperationError, match="does not wait"):
        program.calls.answer(1, "me", {})


@pytest.mark.parametrize("text", ["", "{", "NaN", "[" * 100_000, f'"{"x" * MAX_INPUT}"'])
async def test_an_input_that_cannot_be_told_is_the_calls_failure(program: Program, text: str) -> None:
    program.call(text)
    program.call(identifier="other")
    assert [result.failed for result in program.results] == [True, True]
    assert program.calls.pause is None


async def test_calls_are_limited(program: Program) -> None:
    for _ in range(MAX_CALLS + 1):
        program.call()
    assert [result.failed for result in program.results] == [True]
    assert len(await program.told()) == MAX_CALLS


TOOL = {"name": "a", "identifier": "a"}


@pytest.mark.parametrize(
    "tools",
    [
        None,
        {},
        [1],
        [{}],
        [TOOL, TOOL],
        [TOOL | {"identifier": "a b"}],
        [TOOL | {"identifier": "a\n"}],
        [TOOL | {"identifier": ""}],
        [TOOL | {"name": 1}],
        [TOOL | {"name": "n" * 257}],
        [TOOL | {"identifier": f"a{n}"} for n in range(101)],
    ],
)
def test_tools_that_make_no_sense_are_refused(tools: object) -> None:
    with pytest.raises(OperationError):
        tools_of(tools)


@pytest.mark.parametrize("data", [b"", b"{}x", b"1", b"[1]", b'[{"value": 1}]', b'[{"id": []}]'])
def test_results_that_make_no_sense_are_refused(data: bytes) -> None:
    with pytest.raises(OperationError):
        results_of(data)
