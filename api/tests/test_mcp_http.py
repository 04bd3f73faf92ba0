"""The MCP server over HTTP, between the ports: each message stands for itself. Real clients and programs are
in `e2e/tests/contract/test_mcp.py`."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from codesession_api import streaming
from codesession_api.files import Files
from codesession_api.mcp import history
from codesession_api.mcp.history import Execution, History
from codesession_api.objects.local import LocalObjects
from codesession_api.ports import Outcome, Principal, RunResult, RunSpec
from codesession_api.wire import ExecAnswer
from fakes import Api, FakeSandbox, serving, writing

ACCEPT = {"Accept": "application/json, text/event-stream"}
PNG = b"\x89PNG and so on"


async def post(
    api: Api, method: str, params: Any = None, status: int = 200, headers: dict[str, str] | None = None
) -> httpx.Response:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
    if method.startswith("notifications/"):
        del message["id"]
    # Not a request of the document: the tests' client would look for the route in it.
    request = api.client.build_request("POST", "/v1/mcp", json=message, headers={**ACCEPT, **(headers or {})})
    response = await api.client.send(request)
    assert response.status_code == status, response.text
    return response


def result(response: httpx.Response) -> Any:
    (data,) = [line for line in response.text.splitlines() if line.startswith("data: {")]
    return json.loads(data.removeprefix("data: "))["result"]


async def call(api: Api, name: str, /, headers: dict[str, str] | None = None, **arguments: Any) -> Any:
    return result(await post(api, "tools/call", {"name": name, "arguments": arguments}, headers=headers))


async def tools(api: Api) -> set[str]:
    return {tool["name"] for tool in result(await post(api, "tools/list"))["tools"]}


GREETING = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


async def test_a_greeting_gives_a_session_that_nobody_keeps(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        sessions = [(await post(api, "initialize", GREETING)).headers["mcp-session-id"] for _ in range(2)]
        assert len(set(sessions)) == 2
        for session in (*sessions, "any other"):
            listed = await post(api, "tools/list", headers={"Mcp-Session-Id": session})
            assert "mcp-session-id" not in listed.headers


async def test_an_output_is_told_shown_and_linked(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        api.sandboxes.program = writing(**{"plot.png": PNG})
        told = await call(api, "execute_code", {"MCP-Protocol-Version": "2025-06-18"}, lang="py", code="x")
        assert [part["type"] for part in told["content"]] == ["text", "image", "resource_link"]
        assert told["content"][0]["text"].startswith("made\n")
        older = await call(api, "execute_code", {"MCP-Protocol-Version": "2025-03-26"}, lang="py", code="x")
        assert [part["type"] for part in older["content"]] == ["text", "image"]


async def test_a_cancellation_on_a_connection_of_its_own_ends_the_run(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def run(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(tmp_path) as api:
        api.sandboxes.program = run
        session = {"Mcp-Session-Id": "s"}
        running = asyncio.create_task(call(api, "execute_code", session, lang="py", code=""))
        await begun.wait()
        await post(api, "notifications/cancelled", {"requestId": 1}, 202, session)
        told = await running
        assert told["isError"]
        assert told["content"][0]["text"] == "The call was cancelled."
        assert api.sandboxes.claims[0].cancelled


async def test_a_client_that_leaves_ends_its_run(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def run(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(tmp_path, concurrent_runs=1) as api:
        api.sandboxes.program = run
        running = asyncio.create_task(call(api, "execute_code", lang="py", code=""))
        await begun.wait()
        running.cancel()
        async with asyncio.timeout(20):
            while not api.sandboxes.claims[0].cancelled:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while (await api.exec(lang="none")).status_code == 429:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_client_that_takes_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
        return RunResult(Outcome.EXIT, 0, stdout=b"x" * 50_000_000)

    monkeypatch.setattr(streaming, "STALLED_SECONDS", 0.5)
    async with serving(tmp_path, concurrent_runs=1) as api:
        api.sandboxes.program = run
        call = {"name": "execute_code", "arguments": {"lang": "py", "code": ""}}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).encode()
        head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        head += f"Accept: {ACCEPT['Accept']}\r\nContent-Length: {len(body)}\r\n\r\n"
        reader, writer = await asyncio.open_connection(*api.address, limit=1024)
        writer.write(head.encode() + body)
        assert b"200" in await reader.readline()
        async with asyncio.timeout(60):
            while (await api.exec(lang="none")).status_code == 429:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        writer.close()


async def test_users_of_one_key_are_told_apart_by_their_header(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await call(api, "execute_code", {"User-Id": "ann"}, lang="py", code="of ann")
        for user, seen in (({"User-Id": "ann"}, True), ({"User-Id": "ben"}, False), ({}, False)):
            told = await call(api, "get_execution_history", user)
            assert ("of ann" in told["content"][0]["text"]) is seen


async def test_ids_are_listed_where_they_are_no_secret(tmp_path: Path) -> None:
    """With no authentication on a network, to know a session's id is to own it."""
    listing = {"list_sessions", "get_execution_history"}
    async with serving(tmp_path / "a") as api:
        assert listing < await tools(api)
    async with serving(tmp_path / "b", host="0.0.0.0") as api:
        assert not listing & await tools(api)
        assert "execute_code" in await tools(api)


@pytest.mark.parametrize("languages", ["py,bash", "py,js"])
async def test_tools_are_those_of_the_languages(tmp_path: Path, languages: str) -> None:
    async with serving(tmp_path, languages=languages) as api:
        offered = await tools(api)
        assert ("execute_javascript_code" in offered) is ("js" in languages)
        assert ("execute_bash_command" in offered) is ("bash" in languages)


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async with serving(tmp_path, mcp=False) as api:
        await post(api, "tools/list", status=404)


async def test_a_stream_that_was_opened_with_a_key_in_its_path_leads_back_there(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"sesame").hexdigest()
    (tmp_path / "keys").write_text(f"acme:{digest}\n")
    async with serving(tmp_path / "a", auth="path-key", api_keys_file=tmp_path / "keys") as api:
        async with api.client.stream("GET", "/k/sesame/v1/sse") as stream:
            assert (await endpoint(stream)).startswith("/k/sesame/sse/messages?session_id=")
        refused = await api.client.send(api.client.build_request("GET", "/sse"))
        assert refused.status_code == 401


async def endpoint(stream: httpx.Response) -> str:
    """Where a stream's calls are to go."""
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            return line.removeprefix("data: ")
    raise AssertionError("the stream ended")


async def test_nobody_else_speaks_on_a_stream(tmp_path: Path) -> None:
    ping, ann = {"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"User-Id": "ann"}
    async with serving(tmp_path) as api, api.client.stream("GET", "/sse", headers=ann) as stream:
        way = await endpoint(stream)
        for user, status in (("ben", 404), ("ann", 202)):
            request = api.client.build_request("POST", way, json=ping, headers={"User-Id": user})
            assert (await api.client.send(request)).status_code == status


async def test_pages_of_other_sites_are_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        refused = await post(api, "tools/list", None, 403, {"Origin": "https://evil.example"})
        assert refused.json()["error"] == "forbidden"


@contextmanager
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    said: list[str] = []
    with caplog.at_level("DEBUG"):
        yield said
    said += [record.getMessage() + (record.exc_text or "") for record in caplog.records]


async def test_no_argument_reaches_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The SDK's own log has what it could not read."""
    async with serving(tmp_path) as api:
        with logged(caplog) as said:
            await call(api, "execute_code", lang="py", code="sesame")
            await call(api, "upload_file", name="sesame", content=["sesame"])
            await post(api, "tools/call", {"name": ["sesame"]})
            async with api.client.stream("GET", "/sse") as stream:
                way, body = await endpoint(stream), b'{"sesame": 1}'
                headers = {"Content-Type": "application/json"}
                request = api.client.build_request("POST", way, content=body, headers=headers)
                assert (await api.client.send(request)).status_code == 400
        assert said
        assert not [line for line in said if "sesame" in line]


async def test_the_sdk_makes_no_span_of_a_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its spans are named as the client says, and hold the text of exceptions."""

    def seen(*args: Any, **options: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr("mcp.server._otel.otel_span", seen)
    async with serving(tmp_path) as api:
        assert not (await call(api, "get_system_info")).get("isError")


async def test_a_history_is_bounded_and_its_principals_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "KEPT", 3)
    objects = LocalObjects(tmp_path)
    alice, bob = Principal("a" * 32, "1" * 32), Principal("a" * 32, "2" * 32)
    kept = History(Files(objects))
    for number in range(5):
        answer = ExecAnswer(stdout="x" * 5000, language="py", exit_code=0)
        await kept.add(alice, Execution.of(f"{number}" * 5000, answer))
    latest = await kept.latest(alice, 2)
    assert [one.code[0] for one in latest] == ["4", "3"]
    assert len([info async for info in objects.list("")]) == 3
    assert all(len(one.code) + len(one.stdout) < 6000 for one in latest)
    assert await kept.latest(bob, 2) == []
