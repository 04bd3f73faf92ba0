"""One request on a connection: what it sends and what it is sent, each within the other's credit.

The peer is hostile: a channel holds at most `WINDOW` bytes that nobody has consumed, or what its kind of
request may collect, and raises ProtocolError on all that the protocol does not allow.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any

from codesession_api.ports import Call, FileEntry, Heard, Stream
from codesession_api.sandboxes.refusals import refusal
from codesession_runner.frames import MAX_PAYLOAD, PAID, WINDOW, Frame, Kind, ProtocolError, credit

MAX_CREDIT = 64 * 1024 * 1024
MAX_PATH = 4096
MAX_CALLS = 200
MAX_CALLS_BYTES = 8 * 1024 * 1024
"""Of the calls that a run waits for at one time: their inputs, which JSON in ASCII makes longer."""
MAX_NAME = 256
_CALL_ID = re.compile(r"call_[0-9]{1,6}")
MAX_SIZE = 2**53
_GRANT_AT = WINDOW // 2


class Channel:
    """A request without an answer but its END."""

    accepts: frozenset[Kind] = frozenset()
    """The paid kinds that the peer may send here."""

    def __init__(
        self, number: int, send: Callable[[Frame], None], drained: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self.number = number
        self.abandoned = False
        """Nobody waits for its answer any more; it stays until its END has come."""
        self._send = send
        self._drained = drained
        self._credit = WINDOW
        self._allowance = WINDOW
        self._consumed = 0
        self._sent = 0
        self._end: dict[str, Any] | None = None
        self._error: Exception | None = None
        self._news = asyncio.Event()

    @property
    def ended(self) -> bool:
        return self._end is not None or self._error is not None

    def accept(self, frame: Frame) -> None:
        """Take in a frame of the peer's."""
        if frame.kind in PAID:
            self._accept_paid(frame)
        elif frame.kind is Kind.CREDIT:
            self._credit += frame.credit()
            if self._credit > MAX_CREDIT:
                raise ProtocolError("more credit than a window can hold")
        elif frame.kind is Kind.END:
            self._end = frame.json()
        else:
            raise ProtocolError(f"{frame.kind.name} from the runner")
        self._news.set()

    def fail(self, error: Exception) -> None:
        """The connection is gone: everyone who waits here gets `error`."""
        if not self.ended:
            self._error = error
            self._news.set()

    async def write(self, data: bytes) -> None:
        """Send DATA. Raises as `end` does when the runner has ended the request before it had all of it."""
        view = memoryview(data)
        while view:
            while not self._credit and not self.ended:
                await self._wait()
            if self.ended:
                raise self._refusal() or ProtocolError("END before all of the data")
            size = min(len(view), self._credit, MAX_PAYLOAD)
            self._credit -= size
            self._sent += size
            self._send(Frame(Kind.DATA, self.number, bytes(view[:size])))
            view = view[size:]
            await self._drained()

    def finish(self) -> int:
        """Say that all DATA is sent; its size."""
        self._send(Frame(Kind.EOF, self.number))
        return self._sent

    async def end(self) -> dict[str, Any]:
        """The payload of END. Raises a SandboxError when it is an error, or what broke the connection."""
        while not self.ended:
            await self._wait()
        if error := self._refusal():
            raise error
        assert self._end is not None
        return self._end

    def _receive(self, kind: Kind, payload: bytes) -> None:
        raise NotImplementedError

    def _grant(self, size: int) -> None:
        """Let the peer send as much again as was consumed."""
        self._consumed += size
        if self._consumed >= _GRANT_AT and not self.ended:
            self._allowance += self._consumed
            self._send(credit(self.number, self._consumed))
            self._consumed = 0

    def _accept_paid(self, frame: Frame) -> None:
        if frame.kind not in self.accepts:
            raise ProtocolError(f"{frame.kind.name} in answer to another request")
        self._allowance -= len(frame.payload)
        if self._allowance < 0:
            raise ProtocolError(f"{frame.kind.name} beyond the credit")
        if not self.abandoned:
            self._receive(frame.kind, frame.payload)

    def _refusal(self) -> Exception | None:
        if self._error is not None:
            return self._error
        return refusal(self._end) if self._end and "error" in self._end else None

    async def _wait(self) -> None:
        self._news.clear()
        await self._news.wait()


class Download(Channel):
    """The bytes of a file."""

    accepts = frozenset({Kind.DATA})

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._inbox = bytearray()

    def _receive(self, kind: Kind, payload: bytes) -> None:
        self._inbox += payload

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The peer's DATA until END; what it did not say goes on only as fast as this is consumed."""
        while self._inbox or not self.ended:
            if not self._inbox:
                await self._wait()
                continue
            data, self._inbox = bytes(self._inbox), bytearray()
            yield data
            self._grant(len(data))


class Paths(Channel):
    """A list of paths, out of a set that is known."""

    accepts = frozenset({Kind.RECORD})

    def __init__(self, *args: Any, known: frozenset[str]) -> None:
        super().__init__(*args)
        self.paths: set[str] = set()
        self._known = known

    def _receive(self, kind: Kind, payload: bytes) -> None:
        path = Frame(kind, self.number, payload).json().get("path")
        if not isinstance(path, str) or path not in self._known:
            raise ProtocolError("a path that was not asked for")
        self.paths.add(path)
        self._grant(len(payload))


class Output(Channel):
    """What a run writes and which files it changes; beyond the limits it is counted and not kept."""

    accepts = frozenset({Kind.STDOUT, Kind.STDERR, Kind.RECORD})

    def __init__(self, *args: Any, output_bytes: int, files: int) -> None:
        super().__init__(*args)
        self._output_bytes = output_bytes
        self._files = files
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.truncated = False
        self.first_output: float | None = None
        self.changed: dict[str, FileEntry] = {}
        self.deleted: dict[str, None] = {}
        self.dropped = 0

    def _receive(self, kind: Kind, payload: bytes) -> None:
        if kind is Kind.RECORD:
            self._record(Frame(kind, self.number, payload).json())
        else:
            if self.first_output is None:
                self.first_output = time.perf_counter()
            kept = self.stdout if kind is Kind.STDOUT else self.stderr
            room = self._output_bytes - len(kept)
            kept += payload[:room]
            self.truncated |= len(payload) > room
        self._grant(len(payload))

    def _record(self, record: dict[str, Any]) -> None:
        path, change = _path(record), record.get("change")
        if len(self.changed) + len(self.deleted) >= self._files:
            self.dropped += change == "changed"
        elif change == "changed":
            self.changed[path] = FileEntry(path, number(record, "size"))
        elif change == "deleted":
            self.deleted[path] = None
        else:
            raise ProtocolError("a record of an unknown change")


class Told(Output):
    """As `Output`, but what the run writes is handed on as it comes: no more is held than was granted, and
    more granted for what was taken. `heard` counts that, for a run that is followed from its start again."""

    def __init__(self, *args: Any, output_bytes: int, files: int, heard: Counter[Stream]) -> None:
        super().__init__(*args, output_bytes=output_bytes, files=files)
        self._heard = heard
        self._received: Counter[Stream] = Counter()
        self._pieces: list[tuple[Stream, bytes]] = []

    def _receive(self, kind: Kind, payload: bytes) -> None:
        if kind is Kind.RECORD:
            super()._receive(kind, payload)
            return
        if self.first_output is None:
            self.first_output = time.perf_counter()
        stream = Stream.STDOUT if kind is Kind.STDOUT else Stream.STDERR
        begin = self._received[stream]
        self._received[stream] += len(payload)
        self.truncated |= self._received[stream] > self._output_bytes
        news = payload[max(self._heard[stream] - begin, 0) : max(self._output_bytes - begin, 0)]
        if news:
            self._pieces.append((stream, news))
        self._grant(len(payload) - len(news))

    async def tell(self, heard: Heard) -> None:
        """Hand on until END; what comes together of one stream goes together."""
        while self._pieces or not self.ended:
            if not self._pieces:
                await self._wait()
                continue
            pieces, self._pieces = self._pieces, []
            for stream, together in itertools.groupby(pieces, lambda piece: piece[0]):
                data = b"".join(piece for _, piece in together)
                self._heard[stream] += len(data)
                await heard(stream, data)
                self._grant(len(data))


class Step(Output):
    """A run up to its end, or up to calls of tools, which come as a JSON list."""

    accepts = Output.accepts | {Kind.DATA}

    def __init__(self, *args: Any, output_bytes: int, files: int) -> None:
        super().__init__(*args, output_bytes=output_bytes, files=files)
        self._calls = bytearray()

    def _receive(self, kind: Kind, payload: bytes) -> None:
        if kind is not Kind.DATA:
            super()._receive(kind, payload)
            return
        self._calls += payload
        if len(self._calls) > MAX_CALLS_BYTES:
            raise ProtocolError("calls beyond all limits")
        self._grant(len(payload))

    def calls(self) -> list[Call]:
        """Those of the step; at least one."""
        try:
            listed = json.loads(self._calls, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise ProtocolError("calls that are no JSON") from error
        if not isinstance(listed, list) or not 0 < len(listed) <= MAX_CALLS:
            raise ProtocolError("no calls, or too many")
        calls = [_call(entry) for entry in listed]
        if len({call.id for call in calls}) < len(calls):
            raise ProtocolError("two calls of one id")
        return calls


def number(body: Mapping[str, Any], name: str) -> int:
    """A count or a size that the runner gave."""
    value = body.get(name)
    if type(value) is not int or not 0 <= value < MAX_SIZE:
        raise ProtocolError(f"{name} is no size")
    return value


def duration(body: Mapping[str, Any], name: str) -> float:
    """Milliseconds that the runner gave."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ProtocolError(f"{name} is no duration")
    if not math.isfinite(value) or value < 0:
        raise ProtocolError(f"{name} is no duration")
    return float(value)


def _call(entry: Any) -> Call:
    if not isinstance(entry, dict) or "input" not in entry:
        raise ProtocolError("a call without an input")
    identity, name = entry.get("id"), entry.get("name")
    if not isinstance(identity, str) or not _CALL_ID.fullmatch(identity):
        raise ProtocolError("a call without an id")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise ProtocolError("a call without a name")
    return Call(identity, name, entry["input"])


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _path(record: dict[str, Any]) -> str:
    path = record.get("path")
    if not isinstance(path, str) or not 0 < len(path) <= MAX_PATH or "\0" in path:
        raise ProtocolError("a record without a path")
    return path
