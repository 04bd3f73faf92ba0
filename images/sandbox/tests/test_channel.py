"""Credit, both ways, of one channel."""

from __future__ import annotations

import asyncio

import pytest

from codesession_runner.channel import MAX_CREDIT, Channel
from codesession_runner.frames import MAX_PAYLOAD, WINDOW, Frame, Kind, ProtocolError, credit


class Peer:
    """The other end: keeps what it was sent."""

    def __init__(self) -> None:
        self.sent: list[Frame] = []
        self.channel = Channel(7, self.sent.append, self.drained)

    async def drained(self) -> None:
        await asyncio.sleep(0)

    def give(self, *sizes: int) -> None:
        for size in sizes:
            self.channel.accept(Frame(Kind.DATA, 7, bytes(size)))


async def test_data_within_the_window_is_taken() -> None:
    peer = Peer()
    peer.give(WINDOW // 2, WINDOW // 2)
    with pytest.raises(ProtocolError, match="beyond the credit"):
        peer.give(1)


async def test_what_is_consumed_may_be_sent_again() -> None:
    peer = Peer()
    incoming = peer.channel.incoming()
    for _ in range(4):
        peer.give(WINDOW)
        assert len(await anext(incoming)) == WINDOW
        peer.give(0)
        waiting = asyncio.create_task(anext(incoming))  # consumption is known when more is asked for
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        incoming = peer.channel.incoming()
    assert [frame.credit() for frame in peer.sent] == [WINDOW] * 4


async def test_small_data_costs_no_credit_frame() -> None:
    peer = Peer()
    peer.give(1000)
    peer.channel.accept(Frame(Kind.EOF, 7))
    assert await peer.channel.read(2000) == bytes(1000)
    assert peer.sent == []


async def test_a_writer_stops_at_the_window_and_goes_on_with_credit() -> None:
    peer = Peer()
    data = bytes(range(256)) * (WINDOW // 128)
    writing = asyncio.create_task(peer.channel.write(Kind.STDOUT, data))
    granted = WINDOW
    while not writing.done():
        for _ in range(20):
            await asyncio.sleep(0)
        assert sum(len(frame.payload) for frame in peer.sent) == min(granted, len(data))
        peer.channel.accept(credit(7, 100_000))
        granted += 100_000
    assert b"".join(frame.payload for frame in peer.sent) == data
    assert max(len(frame.payload) for frame in peer.sent) <= MAX_PAYLOAD


async def test_a_record_waits_until_all_of_it_may_go() -> None:
    peer = Peer()
    await peer.channel.write(Kind.DATA, bytes(WINDOW - 1))
    peer.sent.clear()
    recording = asyncio.create_task(peer.channel.record({"path": "p"}))
    await asyncio.sleep(0)
    assert peer.sent == []
    peer.channel.accept(credit(7, 100))
    await recording
    assert [frame.json() for frame in peer.sent] == [{"path": "p"}]


async def test_credit_is_bounded() -> None:
    peer = Peer()
    with pytest.raises(ProtocolError, match="credit"):
        peer.channel.accept(credit(7, MAX_CREDIT))
