"""A run that is told as it happens, between the ports; `e2e/tests/contract` has it with real programs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from codesession_api import streaming
from codesession_api.errors import SandboxesBusy, SandboxLost
from codesession_api.ports import Outcome, RunResult, RunSpec, Stream
from documented import events
from fakes import Api, FakeSandbox, FakeSandboxes, serving, writing

ACCEPT = {"Accept": "text/event-stream"}


async def told(api: Api, **fields: Any) -> httpx.Response:
    """The client holds each event to the document."""
    body = {"lang": "py", "code": "", **fields}
    return await api.client.post("/exec", json=body, headers=ACCEPT)


@asynccontextmanager
async def stream(api: Api) -> AsyncIterator[AsyncIterator[str]]:
    asked = api.client.stream("POST", "/exec", json={"lang": "py", "code": ""}, headers=ACCEPT)
    async with asked as response:
        yield response.aiter_lines()


async def test_the_end_has_what_a_plain_answer_has_besides_texts(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        api.sandboxes.program = writing(**{"a.txt": b"abc"})
        plain = (await api.exec()).json()
        response = await told(api)
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-codeapi-execution-profile"] == "default"
        output, files, end = events(response.text)
        assert output == ("stdout", {"text": "made\n"})
        assert files == ("files", {name: end[1][name] for name in ("files", "deleted_files")})
        assert end[0] == "end"
        assert set(end[1]) == set(plain) - {"stdout", "stderr", "output"}
        assert [file["name"] for file in end[1]["files"]] == ["a.txt"]


async def test_what_prevents_a_run_is_a_plain_refusal(tmp_path: Path) -> None:
    async with serving(tmp_path, keep_alive_seconds=60) as api:
        assert (await told(api, lang=["py"])).status_code == 422
        api.sandboxes.failure = SandboxesBusy("no room", 7)
        refused = await told(api)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
        assert refused.json()["error"] == "rate_limited"


async def test_what_prevents_it_later_is_an_error_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def claim(self: FakeSandboxes, *args: Any, **options: Any) -> Any:
        await asyncio.sleep(0.3)
        raise SandboxesBusy("no room", 7)

    monkeypatch.setattr(FakeSandboxes, "claim", claim)
    async with serving(tmp_path, keep_alive_seconds=0.1) as api:
        response = await told(api)
        assert response.status_code == 200
        assert response.text.startswith(":\n\n")
        refused = {"error": "rate_limited", "message": "no room", "retry_after_seconds": 7}
        assert events(response.text) == [("error", refused)]


async def test_a_run_that_fails_ends_with_the_reason(tmp_path: Path) -> None:
    async def lost(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
        raise SandboxLost("x")

    async with serving(tmp_path) as api:
        api.sandboxes.program = lost
        stderr, end = events((await told(api)).text)
        assert "The sandbox was lost while the code ran" in stderr[1]["text"]
        assert (end[0], end[1]["status"]) == ("end", "RE")


async def test_output_is_there_before_the_run_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()

    async def run(self: FakeSandbox, spec: RunSpec, heard: Any = None) -> RunResult:
        await heard(Stream.STDOUT, b"first")
        await go_on.wait()
        return RunResult(Outcome.EXIT, 0)

    monkeypatch.setattr(FakeSandbox, "run", run)
    async with serving(tmp_path, keep_alive_seconds=0.1) as api, stream(api) as lines:
        assert await anext(lines) == "event: stdout"
        assert json.loads((await anext(lines)).removeprefix("data: ")) == {"text": "first"}
        assert await anext(lines) == ""
        assert await anext(lines) == ":"  # nothing happened for a while
        go_on.set()
        assert "event: end" in [line async for line in lines]


async def test_a_client_that_takes_nothing_holds_up_its_run_and_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is put aside for it: what has not gone to the socket has not been taken from the sandbox."""
    taken, ended = 0, asyncio.Event()

    async def run(self: FakeSandbox, spec: RunSpec, heard: Any = None) -> RunResult:
        nonlocal taken
        try:
            while True:
                await heard(Stream.STDOUT, b"x" * 100_000)
                taken += 100_000
        finally:
            ended.set()

    monkeypatch.setattr(FakeSandbox, "run", run)
    monkeypatch.setattr(streaming, "STALLED_SECONDS", 0.5)
    async with serving(tmp_path, concurrent_runs=1) as api:
        reader, writer = await asyncio.open_connection(*api.address, limit=1024)
        body = b'{"lang": "py", "code": ""}'
        head = "POST /exec HTTP/1.1\r\nHost: [::1]\r\nAccept: text/event-stream\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await reader.readline()
        await ended.wait()
        assert taken < 32 * 1024 * 1024  # what the kernel takes for both sockets
        writer.close()
