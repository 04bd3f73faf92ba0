"""Silence ends a connection; a heartbeat each way keeps it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from codesession_runner.channel import Channel
from codesession_runner.connection import Connection
from codesession_runner.frames import Frame, Kind, next_beat
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


async def test_a_peer_is_asked_before_it_is_dropped_by_one_that_was_asleep() -> None:
    lost = asyncio.Event()
    async with connected(lost, dead_after=1) as client:
        time.sleep(1.1)  # noqa: ASYNC251
        await client.frames(0, lambda frames: len(frames) > 1)
        client.send(Frame(Kind.PONG))
        await client.frames(0, lambda frames: len(frames) > 2)
        assert not lost.is_set()


@pytest.mark.parametrize(
    ("silent", "delay"), [(0, 10), (4, 6), (10, 10), (15, 10), (25, 5), (30, 10), (3000, 10)]
)
def test_when_silence_is_looked_at_again(silent: float, delay: float) -> None:
    assert next_beat(silent, heartbeat=10, dead_after=30) == delay
