"""Programs that call tools, between the ports: any replica goes on, and a hostile sandbox is not believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from codesession_api.app import create_app
from codesession_api.errors import SandboxBusy, SandboxConflict, SandboxError, SandboxLost, SandboxRunUnknown
from codesession_api.objects.local import LocalObjects
from codesession_api.ports import Call, Outcome, Pause, Reply, RunResult, RunSpec, Tool
from codesession_api.settings import load
from codesession_crds.names import new_id
from documented import AsyncDocumentedClient
from fakes import FakeSandbox, FakeSandboxes, nothing

PATH = "/exec/programmatic"
ASKED = Pause(1, [Call("call_001", "get", {"a": 1})], b"so far")


@dataclass
class Scripted(FakeSandbox):
    """Its steps come out as they are given."""

    steps: list[RunResult | Pause | Exception] = field(default_factory=list)
    taken: list[Any] = field(default_factory=list)

    async def begin(
        self, spec: RunSpec, tools: Sequence[Tool], request: str | None = None
    ) -> RunResult | Pause:
        return self._next(spec, list(tools), request)

    async def resume(
        self, run_id: str, number: int, replies: Sequence[Reply], request: str | None = None
    ) -> RunResult | Pause:
        return self._next(run_id, number, list(replies), request)

    def _next(self, *what: Any) -> RunResult | Pause:
        self.taken.append(what)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


class Scripts(FakeSandboxes):
    steps: list[RunResult | Pause | Exception]

    async def claim(self, principal: Any, hint: str | None = None, *, one_shot: bool = False) -> Any:
        made = Scripted(new_id(), nothing, hint=hint, steps=self.steps)
        self.live[made.session_id] = made
        self.claims.append(made)
        return made


@asynccontextmanager
async def replica(directory: Path, sandboxes: FakeSandboxes, **settings: Any) -> AsyncIterator[Any]:
    app = create_app(load(backend="local", auth="none", **settings), sandboxes, LocalObjects(directory))
    transport = httpx.ASGITransport(app)
    async with AsyncDocumentedClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def ask(client: Any, status: int = 200, **body: Any) -> dict[str, Any]:
    response = await client.post(PATH, json=body)
    assert response.status_code == status, response.text
    answer: dict[str, Any] = response.json()
    return answer


def scripted(*steps: RunResult | Pause | Exception) -> Scripts:
    sandboxes = Scripts()
    sandboxes.steps = list(steps)
    return sandboxes


TOOLS = [{"name": "get"}]
ENDED = RunResult(Outcome.EXIT, 0, stdout=b"so far and on")


async def test_another_replica_with_the_key_goes_on(tmp_path: Path) -> None:
    sandboxes = scripted(ASKED, ENDED)
    async with replica(tmp_path, sandboxes, continuation_key="k" * 32) as one:
        waiting = await ask(one, code="x", tools=TOOLS)
    results = [{"call_id": "call_001", "result": '{"b": [null]}'}]
    async with replica(tmp_path, sandboxes, continuation_key="j" * 32) as foreign:
        await ask(foreign, 404, continuation_token=waiting["continuation_token"])
    async with replica(tmp_path, sandboxes, continuation_key="k" * 32) as two:
        end = await ask(two, continuation_token=waiting["continuation_token"], tool_results=results)
    assert (end["status"], end["stdout"]) == ("completed", "so far and on")
    (sandbox,) = sandboxes.claims
    assert isinstance(sandbox, Scripted)
    assert sandbox.taken[1][1:] == (1, [Reply("call_001", {"b": [None]})], None)
    assert sandboxes.live == {}


async def test_values_of_calls_come_through_as_they_are(tmp_path: Path) -> None:
    odd: dict[str, Any] = {"none": None, "list": [None, {}], "text": "ü\ud800"}
    sandboxes = scripted(Pause(1, [Call("call_001", "get", odd), Call("call_002", "get", "x")], b"\xff"))
    async with replica(tmp_path, sandboxes) as client:
        answer = await ask(client, code="x", tools=TOOLS)
    inputs = [call["input"] for call in answer["tool_calls"]]
    assert inputs[0]["none"] is None
    assert inputs[0]["list"] == [None, {}]
    assert (inputs[1], answer["partial_stdout"]) == ("x", "\ufffd")


@pytest.mark.parametrize("name", ["other", "get\n", "x" * 256])
async def test_a_tool_that_was_not_given_is_not_called(tmp_path: Path, name: str) -> None:
    sandboxes = scripted(Pause(1, [*ASKED.calls, Call("call_002", name, {})], b""))
    async with replica(tmp_path, sandboxes) as client:
        answer = await ask(client, code="x", tools=TOOLS)
    assert answer["status"] == "error"
    assert answer["error"].startswith("Sandbox requested an unregistered tool: " + name[:3])
    assert sandboxes.live == {}


@pytest.mark.parametrize(
    ("failure", "status", "word"),
    [
        (SandboxLost("gone"), 200, "Execution failed or timed out"),
        (SandboxError("odd"), 200, "Execution failed or timed out"),
        (SandboxRunUnknown("no"), 404, "not_found"),
        (SandboxConflict("no"), 409, "conflict"),
        (SandboxBusy("no"), 429, "rate_limited"),
    ],
)
async def test_failures_between_two_steps(tmp_path: Path, failure: Exception, status: int, word: str) -> None:
    sandboxes = scripted(ASKED, failure)
    async with replica(tmp_path, sandboxes) as client:
        waiting = await ask(client, code="x", tools=TOOLS)
        answer = await ask(client, status, continuation_token=waiting["continuation_token"])
    assert answer["error"] == word
    assert bool(sandboxes.live) == (status in (409, 429))


async def test_an_expired_token_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandboxes = scripted(ASKED, ENDED)
    monkeypatch.setattr("codesession_api.programmatic.programs.WAIT_SECONDS", -1.0)
    async with replica(tmp_path, sandboxes) as client:
        waiting = await ask(client, code="x", tools=TOOLS)
        await ask(client, 404, continuation_token=waiting["continuation_token"])


@pytest.mark.parametrize("another_went_on", [False, True])
async def test_a_step_whose_client_left_ends_its_own_program_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, another_went_on: bool
) -> None:
    sandboxes, entered = scripted(ASKED), asyncio.Event()

    async def stuck(self: Scripted, *args: Any) -> None:
        entered.set()
        await asyncio.Event().wait()

    async def leave(self: Scripted, run_id: str, number: int) -> bool:
        return not another_went_on

    monkeypatch.setattr(Scripted, "resume", stuck)
    monkeypatch.setattr(Scripted, "leave", leave)
    async with replica(tmp_path, sandboxes) as client:
        waiting = await ask(client, code="x", tools=TOOLS)
        step = asyncio.create_task(ask(client, continuation_token=waiting["continuation_token"]))
        await entered.wait()
        step.cancel()
        await asyncio.wait([step])
    assert bool(sandboxes.live) == another_went_on
