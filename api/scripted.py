"""A runner's end of a connection that does as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from codesession_api.sandboxes.connection import Connection
from codesession_api.sandboxes.session import Limits, Session
from codesession_api.sandboxes.transport import TransportError
from codesession_runner.frames import Decoder, Frame, Kind, message

LIMITS = Limits(run_seconds=10, output_bytes=1000, file_bytes=10_000_000, files=3)
HELLO = {"protocol": 1, "runner": "0.1.0", "boot": "boot-1", "languages": ["py"], "limits": {}}
ENDED = {
    "outcome": "exit",
    "exit_code": 0,
    "signal": None,
    "wall_ms": 1.5,
    "cpu_ms": 1,
    "truncated": False,
    "files_dropped": 0,
}


class Peer:
    """The runner's end of a transport in memory; it is the `Transport` of the API's end, too."""

    def __init__(self) -> None:
        self._to_api: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self._from_api: asyncio.Queue[Frame] = asyncio.Queue()
        self._decoder = Decoder()
        self.reads = asyncio.Event()
        """Cleared, it lets the API's end wait when it writes."""
        self.reads.set()
        self.closed = False

    async def read(self) -> bytes:
        data = await self._to_api.get()
        if isinstance(data, Exception):
            raise data
        return data

    async def write(self, data: bytes) -> None:
        await self.reads.wait()
        for frame in self._decoder.feed(data):
            self._from_api.put_nowait(frame)

    async def aclose(self) -> None:
        self.closed = True

    def send(self, *frames: Frame) -> None:
        """All in one read of the API's."""
        self.send_bytes(b"".join(frame.encode() for frame in frames))

    def send_bytes(self, data: bytes) -> None:
        self._to_api.put_nowait(data)

    def cut(self, cause: str | None = None) -> None:
        self._to_api.put_nowait(TransportError(cause) if cause else b"")

    async def receive(self) -> Frame:
        return await self._from_api.get()

    @property
    def quiet(self) -> bool:
        """Whether all that was sent was received."""
        return self._from_api.empty()

    async def opened(self) -> tuple[int, dict[str, Any]]:
        """The next request: its channel and payload."""
        while (frame := await self.receive()).kind is not Kind.OPEN:
            pass
        return frame.channel, frame.json()


@asynccontextmanager
async def connected(
    hello: dict[str, Any] = HELLO, **options: float
) -> AsyncIterator[tuple[Connection, Peer]]:
    peer = Peer()
    peer.send(message(Kind.HELLO, 0, hello))
    connection = await Connection.open(peer, **options)
    assert (await peer.receive()).json() == {"protocol": 1}
    try:
        yield connection, peer
    finally:
        await connection.aclose()


class Lines:
    """A line that gives one connection after the other; an exception among them is raised."""

    def __init__(self, *connections: Connection | Exception) -> None:
        self._connections = list(connections)

    async def connect(self) -> Connection:
        while isinstance(first := self._connections[0], Connection) and first.lost:
            if len(self._connections) == 1:
                raise first.lost
            del self._connections[0]
        if isinstance(first, Exception):
            del self._connections[0]
            raise first
        return first


def session(*connections: Connection | Exception) -> Session:
    return Session("s" * 21, Lines(*connections), LIMITS)
