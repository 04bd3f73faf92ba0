"""One connection of an API replica: handshake, heartbeat, channels, and credit both ways.

All that a peer can make this end hold is bounded: `WINDOW` bytes per channel, `MAX_CHANNELS` channels, and
`MAX_BACKLOG` bytes of answers that it does not read. What breaks the protocol ends the connection; what is
merely refused (a bad path, one channel too many) ends a channel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from codesession_runner.channel import Channel
from codesession_runner.errors import OperationError
from codesession_runner.frames import (
    DEAD_AFTER_SECONDS,
    HEARTBEAT_SECONDS,
    VERSION,
    Decoder,
    Frame,
    Kind,
    ProtocolError,
    message,
    next_beat,
)

MAX_CHANNELS = 64
MAX_BACKLOG = 1024 * 1024
PATIENCE = 1.2
"""By so much the API's heartbeat comes first: its PING serves both, and an idle sandbox wakes less often."""
_HIGH_WATER = 64 * 1024

logger = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any], Channel], Coroutine[Any, Any, Mapping[str, Any]]]
"""Serves one request: takes the payload of OPEN, returns that of END."""


class Connection(asyncio.Protocol):
    def __init__(
        self,
        hello: Mapping[str, Any],
        handler: Handler,
        *,
        on_lost: Callable[[Connection], None] = lambda connection: None,
        heartbeat: float = HEARTBEAT_SECONDS * PATIENCE,
        dead_after: float = DEAD_AFTER_SECONDS,
    ) -> None:
        self._hello = hello
        self._handler = handler
        self._on_lost = on_lost
        self._heartbeat = heartbeat
        self._dead_after = dead_after
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder()
        self._channels: dict[int, Channel] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._greeted = False
        self._outgoing = bytearray()
        self._paused = False
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._heard, self._asked = self._loop.time(), False
        self._timer = self._loop.call_later(self._heartbeat, self._beat)
        self.send(message(Kind.HELLO, 0, self._hello))

    def connection_lost(self, error: Exception | None) -> None:
        self._timer.cancel()
        self._writable.set()
        for channel in self._channels.values():
            channel.lost = True
        for task in self._tasks.values():
            task.cancel()
        self._on_lost(self)

    def pause_writing(self) -> None:
        self._paused = True
        self._writable.clear()

    def resume_writing(self) -> None:
        self._paused = False
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._heard, self._asked = self._loop.time(), False
        try:
            for frame in self._decoder.feed(data):
                self._dispatch(frame)
        except ProtocolError as error:
            logger.warning("closing a connection that broke the protocol: %s", error)
            self._transport.abort()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def send(self, frame: Frame) -> None:
        """Queue a frame; those of one turn of the loop leave in one write."""
        if self._transport.is_closing():
            return
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing += frame.encode()
        if len(self._outgoing) > _HIGH_WATER:
            self._writable.clear()

    async def drained(self) -> None:
        """Wait while more is queued than should be; many may wait, and each adds one frame at most."""
        while not self._writable.is_set():
            await self._writable.wait()

    def _flush(self) -> None:
        if self._transport.is_closing():
            return
        data, self._outgoing = self._outgoing, bytearray()
        self._transport.write(data)
        if not self._paused:
            self._writable.set()
        if self._transport.get_write_buffer_size() > MAX_BACKLOG:
            logger.warning("closing a connection that does not read its answers")
            self._transport.abort()

    def _beat(self) -> None:
        silent = self._loop.time() - self._heard
        if silent >= self._dead_after and self._asked:
            logger.warning("closing a connection that fell silent")
            self._transport.abort()
            return
        self._asked = silent >= self._heartbeat
        if self._asked:
            self.send(Frame(Kind.PING))
        delay = next_beat(silent, self._heartbeat, self._dead_after)
        self._timer = self._loop.call_later(delay, self._beat)

    def _dispatch(self, frame: Frame) -> None:
        if self._transport.is_closing():
            return
        if not self._greeted:
            self._greet(frame)
        elif frame.channel:
            self._dispatch_to_channel(frame)
        elif frame.kind is Kind.PING:
            self.send(Frame(Kind.PONG))
        elif frame.kind is not Kind.PONG:
            raise ProtocolError(f"{frame.kind.name} on channel 0")

    def _greet(self, frame: Frame) -> None:
        if frame.kind is not Kind.HELLO or frame.channel:
            raise ProtocolError(f"{frame.kind.name} before HELLO")
        if frame.json().get("protocol") != VERSION:
            raise ProtocolError("the peer speaks another version")
        self._greeted = True

    def _dispatch_to_channel(self, frame: Frame) -> None:
        if frame.kind is Kind.OPEN:
            self._open(frame)
            return
        if frame.kind not in (Kind.DATA, Kind.EOF, Kind.CREDIT, Kind.CANCEL):
            raise ProtocolError(f"{frame.kind.name} from the peer")
        channel = self._channels.get(frame.channel)
        if channel is not None:  # what crosses our END on its way is no fault of the peer's
            channel.accept(frame)

    def _open(self, frame: Frame) -> None:
        if frame.channel in self._channels:
            raise ProtocolError(f"channel {frame.channel} is open already")
        request = frame.json()
        channel = Channel(frame.channel, self.send, self.drained)
        if len(self._channels) >= MAX_CHANNELS:
            channel.end(OperationError("busy", f"over {MAX_CHANNELS} open channels").body())
            return
        task = self._loop.create_task(self._serve(request, channel))
        channel.on_cancel = task.cancel
        self._channels[frame.channel] = channel
        self._tasks[frame.channel] = task

    async def _serve(self, request: dict[str, Any], channel: Channel) -> None:
        try:
            body = await self._handler(request, channel)
        except OperationError as error:
            body = error.body()
        except asyncio.CancelledError:
            if channel.lost:
                raise
            body = OperationError("cancelled", "cancelled by the peer").body()
        except Exception:
            logger.exception("an operation failed")
            body = OperationError("internal", "the operation failed inside the runner").body()
        finally:
            del self._channels[channel.number], self._tasks[channel.number]
        channel.end(body)
