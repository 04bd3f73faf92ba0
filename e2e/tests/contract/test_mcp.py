"""The MCP server with real clients: the Python SDK's in both eras of the protocol, the TypeScript SDK's."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from e2e.clients import cities
from e2e.clients.model_context import CLIENTS, Called, Client, ClientError, Transport
from e2e.targets import Target

TOOLS = {
    "execute_code",
    "execute_python_code",
    "execute_bash_command",
    "create_execution_session",
    "list_sessions",
    "get_execution_history",
    "get_system_info",
    "upload_file",
    "download_file",
    "list_files",
}
PLOT = cities.SCRIPT + 'open("notes.txt", "w").write("seen")\n'
CLOCK = "while :; do echo tick | tee -a ticks; sleep 1; done"


def text(called: Called) -> str:
    return "\n".join(part["text"] for part in called.result["content"] if part["type"] == "text")


def told(called: Called) -> Any:
    assert not called.result.get("isError"), text(called)
    return json.loads(text(called))


@contextlib.asynccontextmanager
async def connected(
    name: str, target: Target, transport: Transport = "http", key: int = 0
) -> AsyncIterator[Client]:
    async with CLIENTS[name](target.url, {"X-API-Key": target.keys[key]}, transport) as client:
        yield client


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_model_works_with_files(target: Target, name: str) -> None:
    async with connected(name, target) as client:
        await works_with_files(client)


@pytest.mark.sandbox
@pytest.mark.parametrize("name", ["python-handshake", "typescript"])
async def test_the_older_transport_serves_the_same(embedded_server: Target, name: str) -> None:
    """One process: of several replicas it takes the one that holds the stream (docs/limits.md)."""
    async with connected(name, embedded_server, "sse") as client:
        await works_with_files(client)


async def works_with_files(client: Client) -> None:
    listed = {tool["name"]: tool for tool in (await client.tools()).result["tools"]}
    assert set(listed) >= TOOLS
    assert listed["execute_python_code"]["inputSchema"]["required"] == ["code"]

    stored = told(await client.call("upload_file", {"name": cities.NAME, "content": cities.CITIES}))
    given = {"id": stored["id"], "session_id": stored["session_id"], "name": cities.NAME}
    session = told(await client.call("create_execution_session", {}))["session_id"]
    arguments = {"code": PLOT, "files": [given], "session_id": session}
    ran = await client.call("execute_python_code", arguments)
    assert cities.TOTAL in text(ran)
    assert f"session_id: {session}" in text(ran)
    (image,) = [part for part in ran.result["content"] if part["type"] == "image"]
    assert image["mimeType"] == "image/png"
    assert base64.b64decode(image["data"]).startswith(cities.PNG)

    files = told(await client.call("list_files", {"session_id": session}))["files"]
    assert {file["name"] for file in files} == {"cities.csv", "notes.txt", "plot.png"}
    notes = await client.call("download_file", {"session_id": session, "file": "notes.txt"})
    assert notes.result["content"][0]["resource"]["text"] == "seen"
    (link,) = [part for part in ran.result["content"] if part.get("name") == "notes.txt"]
    assert (await client.read(link["uri"])).result["contents"][0]["text"] == "seen"

    again = await client.call("execute_bash_command", {"command": "ls", "session_id": session})
    assert "notes.txt" in text(again)
    sessions = told(await client.call("list_sessions", {}))["sessions"]
    assert session in [one["session_id"] for one in sessions]
    history = told(await client.call("get_execution_history", {"limit": 2}))["executions"]
    assert [(one["language"], one["session_id"]) for one in history] == [("bash", session), ("py", session)]
    assert history[1]["code"] == PLOT


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_long_run_is_told_of_and_can_be_cancelled(target: Target, name: str) -> None:
    async with connected(name, target) as client:
        session = told(await client.call("create_execution_session", {}))["session_id"]
        running = {"command": CLOCK, "session_id": session}
        ended = None
        with contextlib.suppress(ClientError):
            ended = await client.call("execute_bash_command", running, cancel_at="tick")
        assert ended is None
        # Runs of a session go one after the other: this one waits for the end of that.
        counted = await client.call(
            "execute_bash_command", {"command": "wc -l < ticks", "session_id": session}
        )
        assert 0 < int(text(counted).split()[0]) < 90, "it went on to its time limit"


async def test_what_is_wrong_is_told_to_the_model(target: Target) -> None:
    async with connected("typescript", target) as client:
        for name, arguments, said in (
            ("execute_python_code", {}, "code"),
            ("execute_code", {"lang": "cobol", "code": ""}, "Unsupported language"),
            ("download_file", {"session_id": "U" * 21, "file": "a"}, "There is no such file."),
            ("upload_file", {"name": "a", "content": "?", "encoding": "base64"}, "base64"),
        ):
            failed = await client.call(name, arguments)
            assert failed.result["isError"], name
            assert said in text(failed)
        ran = await client.call("execute_python_code", {"code": "1/0"})
        assert not ran.result.get("isError")
        assert "ZeroDivisionError" in text(ran)


async def test_another_tenant_sees_nothing(target: Target) -> None:
    async with connected("python", target) as alice, connected("python", target, key=1) as bob:
        made = await alice.call("execute_bash_command", {"command": "echo secret > mine.txt"})
        (link,) = [part for part in made.result["content"] if part["type"] == "resource_link"]
        session = link["uri"].split("/")[2]
        assert told(await bob.call("list_files", {"session_id": session}))["files"] == []
        assert session not in text(await bob.call("list_sessions", {}))
        assert session not in text(await bob.call("get_execution_history", {}))
        with pytest.raises(ClientError):
            await bob.read(link["uri"])
        seen = await bob.call("execute_bash_command", {"command": "ls", "session_id": session})
        assert "mine.txt" not in text(seen)


GREETING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-API-Key": "wrong"}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Origin": "https://evil.example", "X-API-Key": "{key}"}, 403),
        ({"Authorization": "Bearer {key}"}, 200),
        ({"X-API-Key": "{key}"}, 200),
    ],
)
def test_it_asks_for_what_the_api_asks_for(target: Target, headers: Mapping[str, str], status: int) -> None:
    given = {name: value.format(key=target.key) for name, value in headers.items()}
    answer = httpx.post(f"{target.url}/mcp", json=GREETING, headers={**ACCEPT, **given}, trust_env=False)
    assert answer.status_code == status, answer.text
