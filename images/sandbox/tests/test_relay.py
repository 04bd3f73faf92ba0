"""The relay between `pods/exec` and the runner's socket, and the readiness port."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

from codesession_runner.frames import Frame, Kind
from runner_testing import PACKAGE, Client, RunnerProcess, connected, running

RELAY = [sys.executable, "-I", "-S", str(PACKAGE / "relay.py")]


async def relay(runner: RunnerProcess) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *RELAY, str(runner.socket), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )


async def through(process: asyncio.subprocess.Process) -> Client:
    assert process.stdin is not None
    assert process.stdout is not None
    client = Client(process.stdout, process.stdin, generous=True)
    await client.greet()
    return client


async def test_relay_carries_the_protocol(runner: RunnerProcess) -> None:
    await (await runner.connect()).aclose()
    process = await relay(runner)
    client = await through(process)
    data = os.urandom(3_000_000)
    assert (await client.request({"op": "put", "path": "f", "tag": ""}, data)).end == {"size": len(data)}
    assert (await client.request({"op": "get", "path": "f", "tag": ""})).data == data
    await client.aclose()
    assert await process.wait() == 0


async def test_relay_ends_with_the_runner(runner: RunnerProcess) -> None:
    await (await runner.connect()).aclose()
    process = await relay(runner)
    client = await through(process)
    await client.request({"op": "list"})  # what the runner has not read at its end would break the stream
    await runner.stop()
    await client.closed()
    assert await process.wait() == 0
    await client.aclose()


async def test_relay_says_when_there_is_no_runner(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *RELAY, str(tmp_path / "none.sock"), stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"no runner at" in errors


async def test_relay_imports_next_to_nothing() -> None:
    code = (
        f"import sys; source = open({str(PACKAGE / 'relay.py')!r}).read().partition('def main')[0]\n"
        "before = set(sys.modules); exec(source); print(*sorted(set(sys.modules) - before))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", code, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output.split() == [b"_ctypes", b"_socket"]


async def test_the_port_opens_when_the_runner_is_ready(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with running(tmp_path, ready_port=port) as runner, connected(runner) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()
        client.send(Frame(Kind.PING))
        await client.frame(0, Kind.PONG)
