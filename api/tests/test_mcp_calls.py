"""Calls while they go on: told of, ended with their caller, and cancelled from this replica or another."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from codesession_api.mcp import calls
from codesession_api.mcp.calls import Call, Calls, Cancelled, group_of, name_of
from codesession_api.ports import Principal
from fakes import FakeSandbox, FakeSandboxes, nothing

ALICE, BOB = Principal("a" * 32, "1" * 32), Principal("a" * 32, "2" * 32)
SESSION = "the-mcp-session"


@dataclass
class Told:
    said: list[str] = field(default_factory=list)
    anything: asyncio.Event = field(default_factory=asyncio.Event)

    async def progress(self, seconds: float, said: str) -> None:
        self.said.append(said)
        self.anything.set()

    def call(self, request: int = 1, by: Principal = ALICE) -> Call:
        group = group_of(by, SESSION)
        return Call(by, self.progress, group=group, name=name_of(group, request))


async def for_ever(ended: asyncio.Event) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.set()


def test_a_name_is_of_one_request_of_one_session_of_one_principal() -> None:
    groups = [group_of(ALICE, SESSION), group_of(BOB, SESSION), group_of(ALICE, "another"), None]
    names = [name_of(group, request) for group in groups[:3] for request in (1, 2, "a")]
    assert len({*groups, *names}) == 4 + 9
    assert group_of(ALICE, None) is None
    assert name_of(None, 1) is None


async def test_a_call_is_told_of_while_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PROGRESS_SECONDS", 0.01)
    told = Told()

    async def work() -> str:
        await told.anything.wait()
        return "done"

    assert await Calls(FakeSandboxes()).follow(told.call(), work(), lambda: "so far") == "done"
    assert told.said[0] == "so far"


async def test_work_ends_with_its_caller() -> None:
    ended = asyncio.Event()
    caller = asyncio.create_task(Calls(FakeSandboxes()).follow(Told().call(), for_ever(ended), str))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()


async def test_a_call_is_cancelled_by_its_own_principal_and_session_alone() -> None:
    ended, here = asyncio.Event(), Calls(FakeSandboxes())
    caller = asyncio.create_task(here.follow(Told().call(), for_ever(ended), str))
    await asyncio.sleep(0)
    await here.cancel(BOB, SESSION, 1)
    await here.cancel(ALICE, "another", 1)
    await here.cancel(ALICE, None, 1)
    await here.cancel(ALICE, SESSION, 2)
    await asyncio.sleep(0.01)
    assert not caller.done()
    await here.cancel(ALICE, SESSION, 1)
    with pytest.raises(Cancelled):
        await caller
    assert ended.is_set()


@dataclass
class Asked(FakeSandbox):
    runs: str = ""
    asked: list[str] = field(default_factory=list)

    async def cancel(self, request: str) -> bool:
        self.asked.append(request)
        return request == self.runs


async def test_another_replica_finds_the_run_in_the_sandboxes_of_the_session() -> None:
    group = group_of(ALICE, SESSION)
    name = name_of(group, 7)
    assert name is not None
    sandboxes = FakeSandboxes()
    other = Asked("a" * 21, nothing, hint="another")
    idle = Asked("b" * 21, nothing, hint=group)
    busy = Asked("c" * 21, nothing, hint=group, runs=name)
    sandboxes.live = {sandbox.session_id: sandbox for sandbox in (other, idle, busy)}
    await Calls(sandboxes).cancel(ALICE, SESSION, 7)
    assert (other.asked, idle.asked, busy.asked) == ([], [name], [name])
