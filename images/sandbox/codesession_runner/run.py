"""A run as all the runner's parts see it: a program, its output so far, and in the end its result."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codesession_runner.calls import Calls, Pause
from codesession_runner.frames import Kind
from codesession_runner.languages import Language

LINGER_SECONDS = 0.01
_RECORD_COST = 256
_MESSAGE = 8 * 1024
"""Bytes of code that find room in a message to a child, be every character escaped."""


class Outcome(enum.StrEnum):
    EXIT = "exit"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    OOM = "oom"
    OUTPUT_LIMIT = "output_limit"
    CANCELLED = "cancelled"


@dataclass(slots=True, eq=False)
class Run:
    id: str
    language: Language
    code: bytes
    args: Sequence[str]
    timeout: float
    """Seconds of wall time from its start, not from its submission."""
    live: bool = False
    """Whether it finds the variables of the live runs before it, and leaves its own."""
    output: dict[Kind, bytearray] = field(
        default_factory=lambda: {Kind.STDOUT: bytearray(), Kind.STDERR: bytearray()}
    )
    records: Sequence[Mapping[str, Any]] = ()
    """Files that it changed, known when it ends."""
    result: Mapping[str, Any] | None = None
    """The payload of END."""
    calls: Calls | None = None
    """Of a program that can call tools."""
    request: str | None = None
    """What its last step is called, to be cancelled by."""
    cancelled: bool = False
    on_cancel: Callable[[], None] = lambda: None
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        if self.calls is not None:
            self.calls.on_news = self._news.set

    @property
    def pause(self) -> Pause | None:
        """What it waits for now, which only its callers can give it."""
        return self.calls.pause if self.calls else None

    @property
    def source(self) -> str | None:
        """The code, where it goes without a file: to an interpreter that has other programs after it. None
        where it needs one."""
        if not self.live or len(self.code) > _MESSAGE:
            return None
        try:
            return self.code.decode()
        except UnicodeDecodeError:
            return None

    def cancel(self) -> None:
        self.cancelled = True
        self.on_cancel()

    def write(self, kind: Kind, data: bytes) -> None:
        self.output[kind] += data
        self._news.set()

    def note(self, line: bytes) -> None:
        """Add a line of the runner's own to stderr."""
        said = self.output[Kind.STDERR]
        self.write(Kind.STDERR, (b"\n" if said and not said.endswith(b"\n") else b"") + line + b"\n")

    def end(self, result: Mapping[str, Any]) -> None:
        self.code = b""
        self.result = result
        if self.calls is not None:
            self.calls.close()
        self._ended.set()
        self._news.set()

    def size(self) -> int:
        """Bytes of memory that it keeps, about."""
        return len(self.code) + sum(map(len, self.output.values())) + _RECORD_COST * len(self.records)

    async def follow(self) -> AsyncGenerator[tuple[Kind, bytes], None]:
        """The output from its beginning to its end, or until it waits for its callers, as it comes."""
        sent = dict.fromkeys(self.output, 0)
        while True:
            for kind, data in self.output.items():
                if piece := bytes(data[sent[kind] :]):
                    break
            else:
                if self.result is not None or self.pause is not None:
                    return
                self._news.clear()
                await self._news.wait()
                await self._linger()
                continue
            sent[kind] += len(piece)
            yield kind, piece

    async def _linger(self) -> None:
        """Give a run that is about to end the time to do so: what is left to send leaves in one write."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await self._ended.wait()


def end_of(
    outcome: Outcome,
    *,
    exit_code: int | None = None,
    signal: int | None = None,
    wall: float = 0.0,
    cpu: float = 0.0,
    truncated: bool = False,
    files_dropped: int = 0,
) -> dict[str, Any]:
    """The payload of a run's END; `wall` and `cpu` in seconds."""
    return {
        "outcome": outcome,
        "exit_code": exit_code,
        "signal": signal,
        "wall_ms": round(wall * 1000, 3),
        "cpu_ms": round(cpu * 1000, 3),
        "truncated": truncated,
        "files_dropped": files_dropped,
    }
