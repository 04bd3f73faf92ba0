"""Silence ends a connection; a heartbeat each way keeps it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

from codesession_runner.channel import Channel
from codesession_runner.connection import Connection
from codesession_runner.frames import Frame, Kind
from runner_testing import Client


async def refuse(request: Mapping[str, Any], channel: Channel) -> Mapping[str, Any]:
    return {}


@contextlib.asynccontextmanager
async def connected(lost: asyncio.Event, *, dead_after: float) -> AsyncIterator[Client]:
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().connect_accepted_socket(
        lambda: Connection(
            {"protocol": 1}, refuse, on_lost=lambda _: lost.set(), heartbeat=0.01, dead_after=dead_after
        ),
        theirs,
    )
    client = Client(*await asyncio.open_connection(sock=ours), generous=True)
    try:
        await client.greet()
        yield client
    finally:
        await client.aclose()


async def test_a_peer_that_says_nothing_is_dropped() -> None:
    lost = asyncio.Event()
    async with connected(lost, dead_after=0.05) as client:
        await client.closed()
        await lost.wait()
        assert [frame.kind for frame in client.received[0]].count(Kind.PING) >= 1


async def test_a_peer_that_answers_pings_is_kept() -> None:
    lost = asyncio.Event()
    async with connected(lost, dead_after=2) as client:
        for beats in range(1, 100):
            await client.frames(0, lambda frames, beats=beats: len(frames) > beats)  # type: ignore[misc]
            client.send(Frame(Kind.PONG))
        assert not lost.is_set()
