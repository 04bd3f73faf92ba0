"""The API's side of a connection to a runner: handshake, heartbeat, and many requests at one time.

A connection fails as a whole and once: whatever goes wrong, every request on it gets the same ConnectionLost.
What waits to be sent is bounded, what is received goes to a channel that bounds it, so a slow consumer of one
request holds up no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from codesession_api.errors import SandboxBadRequest, SandboxBusy
from codesession_api.sandboxes.channels import Channel
from codesession_api.sandboxes.transport import Transport, TransportError
from codesession_runner.frames import (
    DEAD_AFTER_SECONDS,
    HEARTBEAT_SECONDS,
    MAX_PAYLOAD,
    VERSION,
    Decoder,
    Frame,
    Kind,
    ProtocolError,
    message,
    next_beat,
)

MAX_CHANNELS = 64
MAX_BACKLOG = 16 * 1024 * 1024
FRESH_SECONDS = 2.0
ANSWER_SECONDS = 5.0
_HIGH_WATER = 512 * 1024
_MAX_BOOT = 128

AnyChannel = TypeVar("AnyChannel", bound=Channel)


class ConnectionLost(Exception):  # noqa: N818
    """The connection is gone, with the cause; what was asked on it may or may not have happened."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a runner says of itself; `boot` changes whenever its process does."""

    boot: str
    languages: tuple[str, ...]

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Hello:
        if body.get("protocol") != VERSION:
            raise ProtocolError("the runner speaks another version of the protocol")
        boot, languages = body.get("boot"), body.get("languages")
        if not isinstance(boot, str) or not 0 < len(boot) <= _MAX_BOOT:
            raise ProtocolError("HELLO without a boot id")
        if not isinstance(languages, list) or not all(isinstance(name, str) for name in languages):
            raise ProtocolError("HELLO without languages")
        return cls(boot, tuple(languages))


class Connection:
    """Made by `open`."""

    def __init__(
        self,
        transport: Transport,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
        dead_after: float = DEAD_AFTER_SECONDS,
    ) -> None:
        self.lost: ConnectionLost | None = None
        self._transport = transport
        self._heartbeat = heartbeat
        self._dead_after = dead_after
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder()
        self._numbers = itertools.count(1)
        self._channels: dict[int, Channel] = {}
        self._outgoing = bytearray()
        self._to_send = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._heard = self.last_used = self._loop.time()
        self._asked = False
        self._news = asyncio.Event()
        self._hello: Hello | None = None
        self._task = self._loop.create_task(self._serve())

    @classmethod
    async def open(cls, transport: Transport, *, timeout: float = 30.0, **options: float) -> Connection:  # noqa: ASYNC109
        """Wait for the runner's HELLO and answer it. Raises ConnectionLost."""
        connection = cls(transport, **options)
        try:
            async with asyncio.timeout(timeout):
                while connection._hello is None:
                    await connection._hear()
        except TimeoutError:
            raise ConnectionLost(f"no HELLO within {timeout:g} s") from None
        finally:
            if connection._hello is None:
                await connection.aclose()
        return connection

    @property
    def hello(self) -> Hello:
        assert self._hello is not None
        return self._hello

    @property
    def requests(self) -> int:
        """How many are under way."""
        return len(self._channels)

    @contextlib.contextmanager
    def request(self, kind: Callable[..., AnyChannel], body: Mapping[str, Any]) -> Iterator[AnyChannel]:
        """Open a request; one that is left before its END is cancelled."""
        if self.lost:
            raise self.lost
        if len(self._channels) >= MAX_CHANNELS:
            raise SandboxBusy("too many requests to one sandbox")
        channel = kind(next(self._numbers), self._send, self._drain)
        opening = message(Kind.OPEN, channel.number, body)
        if len(opening.payload) > MAX_PAYLOAD:
            raise SandboxBadRequest("the request's parameters are too long")
        self._channels[channel.number] = channel
        self.last_used = self._loop.time()
        self._send(opening)
        try:
            yield channel
        finally:
            self.last_used = self._loop.time()
            if not channel.ended:
                channel.abandoned = True
                self._send(Frame(Kind.CANCEL, channel.number))

    async def verify(self) -> None:
        """Raise ConnectionLost when the runner does not answer; free of cost when it was heard just now."""
        if self._loop.time() - self._heard < FRESH_SECONDS and not self.lost:
            return
        self._send(Frame(Kind.PING))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._hear()
        except TimeoutError:
            self._lose(f"the runner did not answer within {ANSWER_SECONDS:g} s")
            self._task.cancel()
            assert self.lost is not None
            raise self.lost from None

    async def closed(self) -> None:
        """Wait until it is lost."""
        await asyncio.wait([self._task])

    async def aclose(self) -> None:
        self._lose("closed by the API")
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _hear(self) -> None:
        if not self.lost:
            self._news.clear()
            await self._news.wait()
        if self.lost:
            raise self.lost

    async def _serve(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for part in (self._read, self._write, self._beat):
                    group.create_task(part())
        except* (ConnectionLost, TransportError, ProtocolError) as causes:
            self._lose(str(causes.exceptions[0]))
        finally:
            self._lose("the connection was given up")
            await self._transport.aclose()

    async def _read(self) -> None:
        while data := await self._transport.read():
            self._heard, self._asked = self._loop.time(), False
            for frame in self._decoder.feed(data):
                self._dispatch(frame)
            if len(self._outgoing) > MAX_BACKLOG:
                raise ProtocolError("the runner sends and does not read")
            self._news.set()
        raise ConnectionLost("the runner's end was closed")

    async def _write(self) -> None:
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            data, self._outgoing = self._outgoing, bytearray()
            self._drained.set()
            await self._transport.write(bytes(data))

    async def _beat(self) -> None:
        delay = self._heartbeat
        while True:
            await asyncio.sleep(delay)
            silent = self._loop.time() - self._heard
            if silent >= self._dead_after and self._asked:
                raise ConnectionLost(f"nothing heard of the runner for {self._dead_after:g} s")
            self._asked = silent >= self._heartbeat
            if self._asked:
                self._send(Frame(Kind.PING))
            delay = next_beat(silent, self._heartbeat, self._dead_after)

    def _send(self, frame: Frame) -> None:
        if self.lost:
            return
        self._outgoing += frame.encode()
        if len(self._outgoing) > _HIGH_WATER:
            self._drained.clear()
        self._to_send.set()

    async def _drain(self) -> None:
        await self._drained.wait()

    def _dispatch(self, frame: Frame) -> None:
        if self._hello is None:
            if frame.kind is not Kind.HELLO or frame.channel:
                raise ProtocolError(f"{frame.kind.name} before HELLO")
            self._hello = Hello.parse(frame.json())
            self._send(message(Kind.HELLO, 0, {"protocol": VERSION}))
        elif frame.channel:
            self._dispatch_to_channel(frame)
        elif frame.kind is Kind.PING:
            self._send(Frame(Kind.PONG))
        elif frame.kind is not Kind.PONG:
            raise ProtocolError(f"{frame.kind.name} on channel 0")

    def _dispatch_to_channel(self, frame: Frame) -> None:
        channel = self._channels.get(frame.channel)
        if channel is None:
            raise ProtocolError(f"{frame.kind.name} on a channel that is not open")
        channel.accept(frame)
        if channel.ended:
            del self._channels[frame.channel]

    def _lose(self, cause: str) -> None:
        if self.lost:
            return
        self.lost = ConnectionLost(cause)
        for channel in self._channels.values():
            channel.fail(self.lost)
        self._channels.clear()
        self._outgoing.clear()
        self._drained.set()
        self._news.set()
