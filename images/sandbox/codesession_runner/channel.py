"""One request on a connection: what its peer sends and what it is sent, each within the other's credit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from codesession_runner.errors import OperationError
from codesession_runner.frames import MAX_PAYLOAD, WINDOW, Frame, Kind, ProtocolError, credit, message

MAX_CREDIT = 64 * 1024 * 1024
_GRANT_AT = WINDOW // 2


class Channel:
    def __init__(
        self, number: int, send: Callable[[Frame], None], drained: Callable[[], Awaitable[None]]
    ) -> None:
        self.number = number
        self.on_cancel: Callable[[], object] = lambda: None
        self.lost = False
        """Whether the connection under it is gone."""
        self._send = send
        self._drained = drained
        self._inbox = bytearray()
        self._allowance = WINDOW
        self._consumed = 0
        self._eof = False
        self._discarding = False
        self._arrived = asyncio.Event()
        self._credit = WINDOW
        self._credited = asyncio.Event()

    def accept(self, frame: Frame) -> None:
        """Take in a frame of the peer's; ProtocolError when it overdraws or goes on after EOF."""
        if frame.kind is Kind.DATA:
            self._accept_data(frame.payload)
        elif frame.kind is Kind.EOF:
            self._eof = True
            self._arrived.set()
        elif frame.kind is Kind.CREDIT:
            self._accept_credit(frame.credit())
        elif frame.kind is Kind.CANCEL:
            # Not before what came ahead of it was served: a task that never began could not even send END.
            asyncio.get_running_loop().call_soon(lambda: self.on_cancel())

    async def incoming(self) -> AsyncGenerator[bytes, None]:
        """The peer's DATA until its EOF, in pieces of any size up to `WINDOW`."""
        while True:
            if self._inbox:
                data, self._inbox = bytes(self._inbox), bytearray()
                yield data
                self._grant(len(data))
            elif self._eof:
                return
            else:
                self._arrived.clear()
                await self._arrived.wait()

    async def read(self, limit: int) -> bytes:
        """All of the peer's DATA; `too_large` past `limit` bytes."""
        data = bytearray()
        async for piece in self.incoming():
            data += piece
            if len(data) > limit:
                raise OperationError("too_large", f"more than {limit} bytes")
        return bytes(data)

    def discard(self) -> None:
        """Throw away what the peer still sends, so that it need not wait."""
        self._discarding = True
        self._grant(len(self._inbox))
        self._inbox.clear()

    async def write(self, kind: Kind, data: bytes | bytearray | memoryview) -> None:
        """Send bytes as frames of `kind`, waiting for the peer's credit and for the transport."""
        view = memoryview(data)
        while view:
            await self._credit_of(1)
            size = min(len(view), self._credit, MAX_PAYLOAD)
            self._credit -= size
            self._send(Frame(kind, self.number, bytes(view[:size])))
            view = view[size:]

    async def record(self, body: Mapping[str, Any]) -> None:
        """Send one RECORD, never split."""
        frame = message(Kind.RECORD, self.number, body)
        await self._credit_of(len(frame.payload))
        self._credit -= len(frame.payload)
        self._send(frame)

    def end(self, body: Mapping[str, Any]) -> None:
        """Send END, which costs no credit; nothing may follow."""
        self._send(message(Kind.END, self.number, body))

    async def _credit_of(self, size: int) -> None:
        await self._drained()
        while self._credit < size:
            self._credited.clear()
            await self._credited.wait()
            await self._drained()

    def _accept_data(self, payload: bytes) -> None:
        if self._eof:
            raise ProtocolError("DATA after EOF")
        self._allowance -= len(payload)
        if self._allowance < 0:
            raise ProtocolError("DATA beyond the credit")
        if self._discarding:
            self._grant(len(payload))
        else:
            self._inbox += payload
            self._arrived.set()

    def _accept_credit(self, size: int) -> None:
        self._credit += size
        if self._credit > MAX_CREDIT:
            raise ProtocolError("more credit than a window can hold")
        self._credited.set()

    def _grant(self, size: int) -> None:
        self._consumed += size
        if self._consumed >= _GRANT_AT and not self._eof:
            self._allowance += self._consumed
            self._send(credit(self.number, self._consumed))
            self._consumed = 0
