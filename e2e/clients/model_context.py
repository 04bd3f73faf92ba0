"""Real MCP clients, which take the same commands: the Python SDK's in this process, the TypeScript SDK's in
a Node process."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import anyio
import httpx2
from mcp.client.client import Client as PythonClient
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from e2e.clients import install

Json = dict[str, Any]
Transport = Literal["http", "sse"]
PATHS: dict[Transport, str] = {"http": "/mcp", "sse": "/sse"}
_PATIENCE = 300.0
_LINE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Called:
    """What came of a command: as it is on the wire."""

    result: Json
    progress: list[tuple[float, str]] = field(default_factory=list)


class ClientError(Exception):
    """What the client raised: the server refused, or the call was cancelled."""


class Client(Protocol):
    async def tools(self) -> Called: ...

    async def call(self, name: str, arguments: Json, cancel_at: str | None = None) -> Called:
        """Cancelled when a progress notification has the text `cancel_at`; then ClientError."""
        ...

    async def read(self, uri: str) -> Called: ...


@asynccontextmanager
async def python(
    url: str, headers: Mapping[str, str], transport: Transport, mode: Literal["auto", "legacy"] = "auto"
) -> AsyncIterator[Client]:
    """`legacy` opens with the handshake of the protocol's versions before 2026."""
    address = url + PATHS[transport]
    if transport == "sse":
        async with PythonClient(sse_client(address, dict(headers), timeout=_PATIENCE), mode=mode) as client:
            yield _Python(client)
        return
    async with (
        httpx2.AsyncClient(headers=headers, timeout=_PATIENCE, trust_env=False) as http,
        PythonClient(streamable_http_client(address, http_client=http), mode=mode) as client,
    ):
        yield _Python(client)


class _Python:
    def __init__(self, client: PythonClient) -> None:
        self._client = client

    async def tools(self) -> Called:
        return Called(_plain(await self._client.list_tools()))

    async def call(self, name: str, arguments: Json, cancel_at: str | None = None) -> Called:
        told: list[tuple[float, str]] = []
        with anyio.CancelScope() as scope:

            async def on_progress(progress: float, total: float | None, message: str | None) -> None:
                told.append((progress, message or ""))
                if cancel_at and cancel_at in (message or ""):
                    scope.cancel()

            try:
                result = await self._client.call_tool(name, arguments, progress_callback=on_progress)
            except MCPError as error:
                raise ClientError(str(error)) from error
            return Called(_plain(result), told)
        raise ClientError("cancelled")

    async def read(self, uri: str) -> Called:
        try:
            return Called(_plain(await self._client.read_resource(uri)))
        except MCPError as error:
            raise ClientError(str(error)) from error


def _plain(result: Any) -> Json:
    plain: Json = result.model_dump(mode="json", by_alias=True, exclude_none=True)
    return plain


@asynccontextmanager
async def typescript(url: str, headers: Mapping[str, str], transport: Transport) -> AsyncIterator[Client]:
    process = await asyncio.create_subprocess_exec(
        "node",
        str(install.model_context() / "driver.mjs"),
        env={
            "PATH": os.environ["PATH"],
            "MCP_URL": url + PATHS[transport],
            "MCP_TRANSPORT": transport,
            "MCP_HEADERS": json.dumps(dict(headers)),
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES,
    )
    try:
        yield _TypeScript(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 30)
        except TimeoutError:
            process.kill()
            await process.wait()


class _TypeScript:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def tools(self) -> Called:
        return await self._ask(op="tools")

    async def call(self, name: str, arguments: Json, cancel_at: str | None = None) -> Called:
        return await self._ask(op="call", name=name, arguments=arguments, cancel_at=cancel_at)

    async def read(self, uri: str) -> Called:
        return await self._ask(op="read", uri=uri)

    async def _ask(self, **command: Any) -> Called:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        assert line, "the client ended"
        reply = json.loads(line)
        if "error" in reply:
            raise ClientError(reply["error"])
        return Called(reply["result"], [(number, said) for number, said in reply["progress"]])


Connect = Callable[[str, Mapping[str, str], Transport], AbstractAsyncContextManager[Client]]


def python_of_the_handshake(
    url: str, headers: Mapping[str, str], transport: Transport
) -> AbstractAsyncContextManager[Client]:
    return python(url, headers, transport, "legacy")


CLIENTS: dict[str, Connect] = {
    "python": python,
    "python-handshake": python_of_the_handshake,
    "typescript": typescript,
}
