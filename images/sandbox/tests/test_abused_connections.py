"""Connections that are cut, garbled, flooded and stalled."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from codesession_runner.connection import MAX_CHANNELS
from codesession_runner.frames import MAX_PAYLOAD, WINDOW, Frame, Kind, credit, message
from codesession_runner.server import MAX_CONNECTIONS
from runner_testing import Client, RunnerProcess, connected, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(shared_runner: RunnerProcess) -> AsyncIterator[Client]:
    """A connection that the test may ruin."""
    async with connected(shared_runner) as client:
        yield client


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def still_serving(shared_runner: RunnerProcess) -> AsyncIterator[None]:
    """Whatever was done to one connection, the next one is served, and nothing of the first is left."""
    yield
    async with connected(shared_runner) as client:
        assert (await client.run("print(1)")).stdout == b"1\n"
    assert not list(shared_runner.workspace.glob(".codesession*"))


def raw(size: int, kind: int, channel: int, payload: bytes = b"") -> bytes:
    return size.to_bytes(4, "big") + bytes([kind]) + channel.to_bytes(4, "big") + payload


OPEN_RUN = message(Kind.OPEN, 1, {"op": "run", "run": "x", "lang": "py"})
OPEN_PUT = message(Kind.OPEN, 1, {"op": "put", "path": "p", "tag": ""})

GARBLED: dict[str, bytes] = {
    "noise": random.Random(1).randbytes(4096),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown kind": raw(0, 99, 1),
    "frame over the limit": raw(MAX_PAYLOAD + 1, Kind.DATA, 1),
    "frame of 4 GiB": raw(2**32 - 1, Kind.DATA, 1),
    "no JSON": Frame(Kind.OPEN, 1, b"{").encode(),
    "not UTF-8": Frame(Kind.OPEN, 1, b"\xff\xfe{}").encode(),
    "no object": Frame(Kind.OPEN, 1, b"[]").encode(),
    "deep JSON": Frame(Kind.OPEN, 1, b"[" * MAX_PAYLOAD).encode(),
    "endless number": Frame(Kind.OPEN, 1, b"1" * MAX_PAYLOAD).encode(),
    "open on channel 0": Frame(Kind.OPEN, 0, b'{"op":"list"}').encode(),
    "open twice": OPEN_RUN.encode() + OPEN_RUN.encode(),
    "data after its end": OPEN_PUT.encode()
    + Frame(Kind.EOF, 1).encode()
    + Frame(Kind.DATA, 1, b"x").encode(),
    "a frame of the runner's": Frame(Kind.END, 1, b"{}").encode(),
    "another hello": message(Kind.HELLO, 1, {"protocol": 1}).encode(),
    "credit that is none": OPEN_PUT.encode() + Frame(Kind.CREDIT, 1, b"1").encode(),
    "credit without bound": OPEN_PUT.encode() + credit(1, 2**32 - 1).encode(),
}


@pytest.mark.parametrize("name", GARBLED)
async def test_what_breaks_the_protocol_ends_the_connection(fresh: Client, name: str) -> None:
    fresh.send_bytes(GARBLED[name])
    await fresh.closed()


@pytest.mark.parametrize(
    "first",
    [
        message(Kind.HELLO, 0, {"protocol": 2}),
        message(Kind.HELLO, 0, {}),
        message(Kind.HELLO, 3, {"protocol": 1}),
        OPEN_RUN,
        Frame(Kind.PING),
    ],
)
async def test_who_does_not_greet_is_not_served(shared_runner: RunnerProcess, first: Frame) -> None:
    reader, writer = await shared_runner.streams()
    client = Client(reader, writer, generous=True)
    client.send(first)
    await client.closed()
    await client.aclose()


async def test_random_frames_never_harm_the_runner(shared_runner: RunnerProcess) -> None:
    source = random.Random(2)
    for _ in range(50):
        async with connected(shared_runner) as client:
            for _ in range(20):
                kind, channel = source.choice(list(Kind)), source.choice([0, 1, 2, 2**32 - 1])
                client.send(Frame(kind, channel, source.choice([b"", b"{}", b'{"op":"list"}', b"\0\0\0\1"])))


OPENED = OPEN_PUT.encode()
CUTS: dict[str, Callable[[], bytes]] = {
    "at once": lambda: b"",
    "inside a header": lambda: OPENED[:5],
    "inside a payload": lambda: OPENED[:-1],
    "after open": lambda: OPENED,
    "inside data": lambda: OPENED + Frame(Kind.DATA, 1, b"x" * 1000).encode()[:500],
    "before the end of data": lambda: OPENED + Frame(Kind.DATA, 1, b"x" * 1000).encode(),
    "with all said": lambda: OPENED + Frame(Kind.DATA, 1, b"x").encode() + Frame(Kind.EOF, 1).encode(),
    "reading": lambda: message(Kind.OPEN, 1, {"op": "get", "path": "large", "tag": ""}).encode(),
    "running": lambda: OPEN_RUN.encode() + Frame(Kind.EOF, 1).encode(),
}


@pytest.mark.parametrize("name", CUTS)
async def test_a_connection_may_be_cut_at_any_time(shared_runner: RunnerProcess, name: str) -> None:
    (shared_runner.workspace / "large").write_bytes(bytes(4 * WINDOW))
    client = await shared_runner.connect()
    client.send_bytes(CUTS[name]())
    client.cut()


async def test_thousands_of_opens(fresh: Client) -> None:
    """Each is answered, and no more are served at a time than there may be channels."""
    channels = [fresh.open({"op": "put", "path": f"f{number}", "tag": ""}) for number in range(3000)]
    refused = [await fresh.answer(channel) for channel in channels[MAX_CHANNELS:]]
    assert {answer.error for answer in refused} == {"busy"}
    fresh.send(*(Frame(Kind.EOF, channel) for channel in channels[:MAX_CHANNELS]))
    for channel in channels[:MAX_CHANNELS]:
        assert (await fresh.answer(channel)).end == {"size": 0}


async def test_frames_for_channels_that_are_gone_are_ignored(fresh: Client) -> None:
    answer = await fresh.request({"op": "get", "path": "absent", "tag": ""})
    assert answer.error == "not_found"
    for kind in (Kind.DATA, Kind.EOF, Kind.CANCEL):
        fresh.send(Frame(kind, 1, b""))
    fresh.send(credit(1, 5), credit(77, 5))
    assert (await fresh.request({"op": "list"})).error is None


async def test_a_channel_number_may_serve_again(fresh: Client) -> None:
    for _ in range(3):
        fresh.send(message(Kind.OPEN, 9, {"op": "attach", "run": "none"}))
        assert (await fresh.answer(9)).error == "unknown_run"


async def test_a_stalled_channel_holds_up_no_other(shared_runner: RunnerProcess) -> None:
    """Without credit a channel stops at its window; runs end and other channels go on."""
    (shared_runner.workspace / "large").write_bytes(bytes(4 * WINDOW))
    async with connected(shared_runner, generous=False) as client:
        stalled = client.open({"op": "get", "path": "large", "tag": ""})
        talkative = client.open(
            {"op": "run", "run": "talk", "lang": "py"}, b"print('x' * 1000_000); open('said', 'w')"
        )
        await client.frame(stalled, Kind.DATA)
        await client.frame(talkative, Kind.STDOUT)
        assert (await client.run("print(2)")).stdout == b"2\n"
        for channel in (stalled, talkative):
            assert sum(len(frame.payload) for frame in client.received[channel]) == WINDOW
            client.send(credit(channel, 4 * WINDOW))
        assert len((await client.answer(stalled)).data) == 4 * WINDOW
        assert len((await client.answer(talkative)).stdout) == 1000_001


async def test_many_downloads_at_once(shared_runner: RunnerProcess) -> None:
    (shared_runner.workspace / "large").write_bytes(bytes(2 * WINDOW))
    async with connected(shared_runner) as client:
        channels = [client.open({"op": "get", "path": "large", "tag": ""}) for _ in range(MAX_CHANNELS)]
        for channel in channels:
            assert len((await client.answer(channel)).data) == 2 * WINDOW


async def test_a_peer_that_does_not_read_costs_little_memory(tmp_path: Path) -> None:
    async with running(tmp_path) as runner, connected(runner) as control:
        (runner.workspace / "large").write_bytes(bytes(50 * 2**20))
        before = resident(runner)
        reader, writer = await runner.streams()
        writer.write(message(Kind.HELLO, 0, {"protocol": 1}).encode())
        for channel in range(1, 21):
            writer.write(message(Kind.OPEN, channel, {"op": "get", "path": "large", "tag": ""}).encode())
            writer.write(credit(channel, 60 * 2**20).encode())
        for _ in range(5):
            assert (await control.run("print(1)")).stdout == b"1\n"
        assert resident(runner) - before < 16 * 2**20
        writer.transport.abort()
        assert reader is not None


async def test_a_peer_that_floods_pings_without_reading_is_dropped(shared_runner: RunnerProcess) -> None:
    _, writer = await shared_runner.streams()
    writer.write(message(Kind.HELLO, 0, {"protocol": 1}).encode())

    async def flood() -> None:
        while True:
            writer.write(Frame(Kind.PING).encode() * 10_000)
            await writer.drain()

    with pytest.raises(ConnectionError):
        await flood()
    writer.transport.abort()


async def test_ping_is_answered(fresh: Client) -> None:
    fresh.send(Frame(Kind.PING))
    await fresh.frame(0, Kind.PONG)


async def test_connections_are_limited(shared_runner: RunnerProcess) -> None:
    async with contextlib.AsyncExitStack() as stack:

        async def connect(count: int) -> None:
            for _ in range(count):
                await stack.enter_async_context(connected(shared_runner))

        await connect(MAX_CONNECTIONS)
        with pytest.raises(ConnectionError):
            await connect(1)


def resident(runner: RunnerProcess) -> int:
    """Bytes of memory that the runner holds."""
    pages = Path(f"/proc/{runner.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")
