"""Frames between the API and the runner: the wire format, free of I/O.

A frame is `u32 payload length | u8 kind | u32 channel | payload`, big endian. Channel 0 is the connection
itself (HELLO, PING, PONG); every request of the API opens a channel of its own with OPEN, whose payload is a
JSON object with an `op`, and the runner closes it with END, a JSON object too. Nothing but END ends a
request: a connection that closes first is a failure, never a success (kubernetes#73056 shows where the
opposite leads).

Payload bytes of DATA, STDOUT, STDERR and RECORD are paid for from the receiver's credit, `WINDOW` bytes per
channel and direction at first, so that one talkative run cannot starve the others. Both ends treat what they
read as hostile: `Decoder` bounds all that it buffers and raises `ProtocolError` on anything else.
"""

from __future__ import annotations

import enum
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

VERSION = 1
MAX_PAYLOAD = 128 * 1024
WINDOW = 512 * 1024
HEARTBEAT_SECONDS = 10.0
"""Without a byte from the peer, after which it is asked for one."""
DEAD_AFTER_SECONDS = 3 * HEARTBEAT_SECONDS

_HEADER = struct.Struct("!IBI")


class ProtocolError(Exception):
    """The peer sent what the protocol does not allow; the connection cannot go on."""


class Kind(enum.IntEnum):
    HELLO = 1
    PING = 2
    PONG = 3
    OPEN = 4
    DATA = 5
    EOF = 6
    STDOUT = 7
    STDERR = 8
    RECORD = 9
    END = 10
    CREDIT = 11
    CANCEL = 12


PAID = frozenset({Kind.DATA, Kind.STDOUT, Kind.STDERR, Kind.RECORD})
"""Kinds whose payload is taken from the receiver's credit."""


@dataclass(frozen=True, slots=True)
class Frame:
    kind: Kind
    channel: int = 0
    payload: bytes = b""

    def encode(self) -> bytes:
        """The frame's bytes; ValueError when the payload is over `MAX_PAYLOAD`."""
        if len(self.payload) > MAX_PAYLOAD:
            raise ValueError(f"a payload of {len(self.payload)} bytes is over {MAX_PAYLOAD}")
        return _HEADER.pack(len(self.payload), self.kind, self.channel) + self.payload

    def json(self) -> dict[str, Any]:
        """The payload as a JSON object."""
        try:
            value = json.loads(self.payload)
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"{self.kind.name} holds no JSON") from error
        if not isinstance(value, dict):
            raise ProtocolError(f"{self.kind.name} holds no JSON object")
        return value

    def credit(self) -> int:
        """Bytes that a CREDIT frame grants."""
        if len(self.payload) != 4:
            raise ProtocolError("CREDIT holds no u32")
        return int.from_bytes(self.payload, "big")


def message(kind: Kind, channel: int, body: Mapping[str, Any]) -> Frame:
    """A frame that carries a JSON object; ASCII, so that lone surrogates of odd file names survive."""
    return Frame(kind, channel, json.dumps(body, separators=(",", ":")).encode("ascii"))


def credit(channel: int, size: int) -> Frame:
    return Frame(Kind.CREDIT, channel, size.to_bytes(4, "big"))


def chunks(data: bytes, size: int = MAX_PAYLOAD) -> Iterator[bytes]:
    """`data` in pieces that fit a frame."""
    view = memoryview(data)
    for start in range(0, len(data), size):
        yield bytes(view[start : start + size])


def next_beat(silent: float, heartbeat: float, dead_after: float) -> float:
    """Seconds until a peer's silence is looked at again: when a PING is due, or the connection is dead.

    A look that comes too late, for this side was asleep, leaves the peer the time to answer its first PING.
    """
    if silent < heartbeat:
        return heartbeat - silent
    return min(heartbeat, dead_after - silent) if silent < dead_after else heartbeat


class Decoder:
    """Turns received bytes into frames; holds at most one unfinished frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= _HEADER.size:
                size, kind, channel = _HEADER.unpack_from(self._buffer, start)
                if size > MAX_PAYLOAD:
                    raise ProtocolError(f"a frame of {size} bytes")
                end = start + _HEADER.size + size
                if len(self._buffer) < end:
                    return
                payload = bytes(self._buffer[start + _HEADER.size : end])
                start = end
                yield Frame(_kind(kind), channel, payload)
        finally:
            del self._buffer[:start]


def _kind(value: int) -> Kind:
    try:
        return Kind(value)
    except ValueError as error:
        raise ProtocolError(f"a frame of unknown kind {value}") from error
