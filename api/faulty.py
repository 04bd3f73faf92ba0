"""A way to a runner's socket that breaks after a chosen frame, as networks and what is between them do."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from pathlib import Path

from codesession_api.sandboxes.connection import Connection, ConnectionLost
from codesession_api.sandboxes.transport import StreamTransport, TransportError, open_unix
from codesession_runner.frames import Decoder, Frame, Kind

HEARTBEAT = 0.15
DEAD_AFTER = 0.45
_BAD_KIND = b"\x63"


class Side(enum.StrEnum):
    API = "the API"
    RUNNER = "the runner"


class Fault(enum.StrEnum):
    CUT = "cut"
    TRUNCATED = "cut within the next frame"
    GARBLED = "the next frame garbled"
    FROZEN = "frozen both ways"
    HALF_OPEN = "half-open, no more of that arrives"


_OF_THE_NEXT_FRAME = (Fault.TRUNCATED, Fault.GARBLED)


@dataclass(frozen=True, slots=True)
class Plan:
    """`fault` comes when `after` frames of a side have passed. Heartbeats pass uncounted."""

    fault: Fault
    side: Side
    after: int

    def __str__(self) -> str:
        return f"{self.fault}, after {self.after} frames of {self.side}"


class FaultyTransport:
    """A `Transport`. One that is frozen leaves the runner's end open, as a peer that vanished does, until
    `release`."""

    def __init__(self, inner: StreamTransport, plan: Plan | None) -> None:
        self.passed = dict.fromkeys(Side, 0)
        self._inner = inner
        self._plan = plan
        self._decoders = {side: Decoder() for side in Side}
        self._silenced: set[Side] = set()
        self._cut = False
        if plan and not plan.after and plan.fault not in _OF_THE_NEXT_FRAME:
            self._strike(plan)

    async def read(self) -> bytes:
        while Side.RUNNER not in self._silenced:
            if self._cut:
                await self._inner.aclose()
            data = await self._inner.read()
            if not data and Side.RUNNER not in self._silenced:
                return b""
            if passed := self._through(Side.RUNNER, data):
                return passed
        forever: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        return await forever

    async def write(self, data: bytes) -> None:
        if passed := self._through(Side.API, data):
            await self._inner.write(passed)
        if self._cut:
            await self._inner.aclose()

    async def aclose(self) -> None:
        if self._silenced != set(Side):
            await self._inner.aclose()

    async def release(self) -> None:
        await self._inner.aclose()

    def _through(self, side: Side, data: bytes) -> bytes:
        """What of it arrives."""
        arrived = bytearray()
        for frame in self._decoders[side].feed(data):
            if self._cut or side in self._silenced:
                break
            arrived += self._spoilt(side, frame) or self._counted(side, frame)
        return bytes(arrived)

    def _spoilt(self, side: Side, frame: Frame) -> bytes:
        plan, whole = self._plan, frame.encode()
        if plan is None or plan.fault not in _OF_THE_NEXT_FRAME or not self._is_due(plan, side):
            return b""
        if plan.fault is Fault.GARBLED:
            return whole[:4] + _BAD_KIND + whole[5:]
        self._cut = True
        return whole[: len(whole) // 2]

    def _counted(self, side: Side, frame: Frame) -> bytes:
        self.passed[side] += frame.kind not in (Kind.PING, Kind.PONG)
        if self._plan and self._is_due(self._plan, side):
            self._strike(self._plan)
        return frame.encode()

    def _is_due(self, plan: Plan, side: Side) -> bool:
        return side is plan.side and self.passed[side] == plan.after

    def _strike(self, plan: Plan) -> None:
        match plan.fault:
            case Fault.CUT:
                self._cut = True
            case Fault.FROZEN:
                self._silenced = set(Side)
            case Fault.HALF_OPEN:
                self._silenced.add(plan.side)


class FaultyLine:
    """Its connections go by the plans, one after the other, with a heartbeat for a test's patience; and then
    as they should."""

    def __init__(self, socket: Path, *plans: Plan) -> None:
        self.transports: list[FaultyTransport] = []
        self._socket = str(socket)
        self._plans = list(plans)
        self._connection: Connection | None = None

    async def connect(self) -> Connection:
        if self._connection is None or self._connection.lost:
            plan = self._plans.pop(0) if self._plans else None
            try:
                self.transports.append(FaultyTransport(await open_unix(self._socket), plan))
            except TransportError as error:
                raise ConnectionLost(str(error)) from error
            short = {"heartbeat": HEARTBEAT, "dead_after": DEAD_AFTER} if plan else {}
            self._connection = await Connection.open(self.transports[-1], **short)
        return self._connection

    async def aclose(self) -> None:
        if self._connection:
            await self._connection.aclose()
        for transport in self.transports:
            await transport.release()
