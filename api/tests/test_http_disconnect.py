"""A client that goes away ends what was done for it within a second, whatever that was at the time."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from codesession_api.ports import FileEntry, Outcome, RunResult, RunSpec
from fakes import Api, FakeSandbox, FakeSandboxes, nothing, serving

PATHS = ["/exec", "/v1/run/exec"]
SOON = 5
"""Seconds, on a busy machine. That a second is enough is for the real programs below to show."""


class Stuck:
    """Somewhere that a request gets to and does not leave by itself."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.left = asyncio.Event()

    async def wait(self) -> None:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()


@asynccontextmanager
async def stuck_in(place: str, api: Api) -> AsyncIterator[Stuck]:
    stuck = Stuck()

    async def run(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
        await stuck.wait()
        raise AssertionError

    async def make(sandbox: FakeSandbox, spec: RunSpec) -> RunResult:
        return RunResult(Outcome.EXIT, 0, changed=[FileEntry("a.txt", 1)])

    async def claim(self: FakeSandboxes, *args: Any, **options: Any) -> Any:
        await stuck.wait()

    async def get(self: FakeSandbox, path: str, *, tag: str) -> AsyncIterator[bytes]:
        yield b"a"
        await stuck.wait()

    with pytest.MonkeyPatch.context() as patch:
        api.sandboxes.program = {"the run": run, "outputs": make}.get(place, nothing)
        if place == "a claim":
            patch.setattr(FakeSandboxes, "claim", claim)
        if place == "outputs":
            patch.setattr(FakeSandbox, "get", get)
        yield stuck


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("place", ["a claim", "the run", "outputs"])
@pytest.mark.parametrize("interval", [0.1, 60])
@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
async def test_what_was_under_way_is_cancelled(
    tmp_path: Path, path: str, place: str, interval: float, accept: str
) -> None:
    """With white space or comments under way, and before any."""
    async with (
        serving(tmp_path, keep_alive_seconds=interval, concurrent_runs=1) as api,
        stuck_in(place, api) as stuck,
    ):
        _, writer = await asyncio.open_connection(*api.address)
        writer.write(request(path, "x", accept))
        await stuck.entered.wait()
        await asyncio.sleep(0.2)
        assert not stuck.left.is_set()
        writer.close()
        async with asyncio.timeout(SOON):
            await stuck.left.wait()
        assert [info async for info in api.objects.list("")] == []
        async with asyncio.timeout(SOON):
            while (await api.client.post(path, content=b"{")).status_code == 429:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def request(path: str, code: str, accept: str = "*/*", **fields: Any) -> bytes:
    body = json.dumps({"lang": "py", "code": code, **fields}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: [::1]\r\nAccept: {accept}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


STAMPS = """
import time
while True:
    with open('stamps', 'a') as f:
        print(time.time(), file=f)
    time.sleep(0.1)
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
BASH = "while :; do date +%s.%N >> stamps; sleep 0.1; done"


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    run_server = request.getfixturevalue("run_server")
    with run_server(tmp_path_factory.mktemp("server"), keep_alive_seconds=0.2) as server:
        yield server


@pytest.mark.sandbox
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("program", [("py", STAMPS), ("py", DEAF + STAMPS), ("bash", BASH)])
def test_a_program_is_ended(server: Any, path: str, program: tuple[str, str]) -> None:
    lang, code = program
    session = server.exec("open('stamps', 'w')")["session_id"]
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(request(path, code, lang=lang, session_id=session))
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        time.sleep(0.5)
    left = time.time()
    stamps = server.exec("print(open('stamps').read())", session_id=session)["stdout"].split()
    assert len(stamps) > 1
    assert float(stamps[-1]) < left + 1
