"""The API over a socket, with the two ports replaced: real ones do not fail on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from codesession_api.app import create_app
from codesession_api.errors import ObjectsUnavailable, SandboxFileMissing, SandboxRunUnknown
from codesession_api.objects.local import LocalObjects
from codesession_api.ports import (
    FileEntry,
    Heard,
    Live,
    ObjectInfo,
    Outcome,
    Pause,
    Principal,
    Reply,
    RunResult,
    RunSpec,
    Sandbox,
    Stream,
    TaggedPath,
    Tool,
)
from codesession_api.serve import _config, _listen, _Server
from codesession_api.settings import load
from codesession_crds.names import new_id
from documented import AsyncDocumentedClient

Program = Callable[["FakeSandbox", RunSpec], Awaitable[RunResult]]


async def nothing(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
    return RunResult(Outcome.EXIT, 0)


async def told(result: RunResult, heard: Heard | None) -> RunResult:
    """As a sandbox does it with the output of a run whose `heard` wants it."""
    if heard is None:
        return result
    for stream, data in ((Stream.STDOUT, result.stdout), (Stream.STDERR, result.stderr)):
        if data:
            await heard(stream, data)
    return replace(result, stdout=b"", stderr=b"")


class WithoutTools:
    """Of a sandbox in which programs call nothing."""

    async def begin(
        self, spec: RunSpec, tools: Sequence[Tool], request: str | None = None
    ) -> RunResult | Pause:
        return await self.run(spec)

    async def resume(
        self, run_id: str, number: int, replies: Sequence[Reply], request: str | None = None
    ) -> RunResult | Pause:
        raise SandboxRunUnknown("no such run")

    async def leave(self, run_id: str, number: int) -> bool:
        return True

    async def cancel(self, request: str) -> bool:
        return False

    async def run(self, spec: RunSpec, heard: Heard | None = None) -> RunResult:
        raise NotImplementedError


@dataclass
class FakeSandbox(WithoutTools):
    session_id: str
    program: Program
    files: dict[str, bytes] = field(default_factory=dict)
    put_error: Exception | None = None
    hint: str | None = None
    one_shot: bool = False
    """Nobody has asked for it since it was claimed so."""
    cancelled: bool = False

    async def run(self, spec: RunSpec, heard: Heard | None = None) -> RunResult:
        try:
            return await told(await self.program(self, spec), heard)
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    async def missing(self, files: Sequence[TaggedPath]) -> set[str]:
        return {file.path for file in files if file.path not in self.files}

    async def put(
        self, path: str, chunks: AsyncIterator[bytes], *, tag: str, read_only: bool = False
    ) -> None:
        if self.put_error:
            raise self.put_error
        self.files[path] = b"".join([chunk async for chunk in chunks])

    async def get(self, path: str, *, tag: str) -> AsyncIterator[bytes]:
        if path not in self.files:
            raise SandboxFileMissing(path)
        yield self.files[path]


@dataclass
class FakeSandboxes:
    """Makes a sandbox for each claim, which runs `program`; `failure` is what every call raises instead."""

    program: Program = nothing
    failure: Exception | None = None
    live: dict[str, FakeSandbox] = field(default_factory=dict)
    claims: list[FakeSandbox] = field(default_factory=list)
    isolation: str = "none"
    closed: bool = False

    async def find(self, session_id: str, principal: Principal, *, wake: bool = False) -> Sandbox | None:
        found = self.live.get(session_id)
        if found is not None:
            found.one_shot = False
        return found

    async def hinted(self, hint: str, principal: Principal, but: Container[str] = ()) -> Sandbox | None:
        same = (sandbox for sandbox in self.live.values() if sandbox.hint == hint)
        return next((sandbox for sandbox in same if sandbox.session_id not in but), None)

    async def claim(
        self, principal: Principal, hint: str | None = None, *, one_shot: bool = False
    ) -> Sandbox:
        await self.check()
        sandbox = FakeSandbox(new_id(), self.program, hint=hint, one_shot=one_shot)
        self.live[sandbox.session_id] = sandbox
        self.claims.append(sandbox)
        return sandbox

    def sessions(self, principal: Principal) -> list[Live]:
        now = datetime.now(UTC)
        return [Live(session_id, now, now) for session_id in reversed(self.live)]

    async def delete(self, session_id: str, principal: Principal) -> bool:
        return self.live.pop(session_id, None) is not None

    async def check(self) -> None:
        if self.failure:
            raise self.failure

    async def aclose(self) -> None:
        self.closed = True


class FailingObjects(LocalObjects):
    failing = False

    async def put(self, *args: Any, **kwargs: Any) -> ObjectInfo:
        await self.check()
        return await super().put(*args, **kwargs)

    async def head(self, key: str) -> ObjectInfo:
        await self.check()
        return await super().head(key)

    async def check(self) -> None:
        if self.failing:
            raise ObjectsUnavailable("S3 failed: ConnectTimeoutError")


@dataclass
class Api:
    client: httpx.AsyncClient
    sandboxes: FakeSandboxes
    objects: FailingObjects
    address: tuple[str, int]

    async def exec(self, code: str = "", **fields: Any) -> httpx.Response:
        return await self.client.post("/exec", json={"lang": "py", "code": code, **fields})

    async def upload(self) -> dict[str, str]:
        response = await self.client.post("/upload", files={"file": ("in.csv", b"1,2")})
        answer = response.json()
        return {
            "id": answer["files"][0]["fileId"],
            "storage_session_id": answer["session_id"],
            "name": "in.csv",
        }


@asynccontextmanager
async def serving(directory: Path, **given: Any) -> AsyncIterator[Api]:
    settings = load(**{"backend": "local", "auth": "none", "keep_alive_seconds": 0.2, **given})
    sandboxes, objects = FakeSandboxes(), FailingObjects(directory)
    listener = _listen("127.0.0.1", 0)
    ready = asyncio.Event()
    server = _Server(_config(create_app(settings, sandboxes, objects), settings), ready.set)
    serving = asyncio.create_task(server._serve(sockets=[listener]))
    await ready.wait()
    address = listener.getsockname()
    try:
        async with AsyncDocumentedClient(base_url="http://%s:%d" % address, timeout=20) as client:  # noqa: UP031
            yield Api(client, sandboxes, objects, address)
    finally:
        server.should_exit = True
        await serving
    assert sandboxes.closed


def writing(**files: bytes) -> Program:
    """A run that makes files."""

    async def program(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
        sandbox.files.update(files)
        changed = [FileEntry(path, len(data)) for path, data in files.items()]
        return RunResult(Outcome.EXIT, 0, stdout=b"made\n", changed=changed)

    return program
