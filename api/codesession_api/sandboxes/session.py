"""A sandbox as the API's logic sees it, over whatever connection leads to it at the moment.

A run is started once. When the connection is cut during it, the runner goes on and is asked for it by id; the
whole output comes again, so what had arrived before is forgotten. A runner that was restarted knows no run of
before: that is `SandboxLost`, and nothing here tries the code a second time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

from codesession_api.errors import (
    SandboxConflict,
    SandboxError,
    SandboxFileTooLarge,
    SandboxLost,
    SandboxRunUnknown,
)
from codesession_api.ports import Heard, Outcome, Pause, Reply, RunResult, RunSpec, Stream, TaggedPath, Tool
from codesession_api.sandboxes.channels import (
    Channel,
    Download,
    Output,
    Paths,
    Step,
    Told,
    duration,
    number,
)
from codesession_api.sandboxes.connection import Connection, ConnectionLost
from codesession_runner.frames import ProtocolError

REDIAL_SECONDS = 10.0
"""Less than the 15 s after which the runner gives up a run that nobody follows."""
QUEUE_SECONDS = 600.0
"""How long a run may wait for others of its session, on top of its own timeout."""
STEP_SECONDS = 60.0
"""How much longer than its timeout a step may take: to send what is said, and to end what is to end."""
_CALLS = "calls"
_FIRST_DELAY, _LAST_DELAY = 0.05, 2.0


_Request = tuple[Mapping[str, Any], bytes | None]
"""The payload of OPEN, and the DATA."""


_Follow = Callable[[Connection, Mapping[str, Any], bytes | None], Awaitable[RunResult]]
"""Follows a run on one connection: opens it, sends the code if there is some, and reads on to END."""


class Line(Protocol):
    """The way to one sandbox."""

    async def connect(self) -> Connection:
        """The connection that is held, or else a new one. Raises ConnectionLost when there is no getting
        through now, SandboxLost when the sandbox is gone for good."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What this side accepts of a runner, whatever that runner thinks its limits are."""

    run_seconds: float
    output_bytes: int
    file_bytes: int
    files: int


class Session:
    """A `Sandbox`."""

    def __init__(self, session_id: str, line: Line, limits: Limits) -> None:
        self._session_id = session_id
        self._line = line
        self._limits = limits
        self._answer = secrets.token_hex(16)
        """By it the runner knows replies of this request again, when they are sent on another connection."""

    @property
    def session_id(self) -> str:
        return self._session_id

    async def run(self, spec: RunSpec, heard: Heard | None = None) -> RunResult:
        timeout = min(spec.timeout, self._limits.run_seconds)
        try:
            async with asyncio.timeout(timeout + QUEUE_SECONDS):
                with _nonsense_is_loss():
                    return await self._run(spec, self._plain if heard is None else self._telling(heard))
        except TimeoutError:
            raise SandboxError("the sandbox did not end the run in time") from None

    async def begin(
        self, spec: RunSpec, tools: Sequence[Tool], request: str | None = None
    ) -> RunResult | Pause:
        opening = self._opening(spec) | {"tools": [asdict(tool) for tool in tools], "request": request}
        code, attached = spec.code.encode("utf-8", "replace"), {"op": "attach", "run": spec.run_id}
        return await self._step(opening, code, (attached, None), QUEUE_SECONDS)

    async def resume(
        self, run_id: str, number: int, replies: Sequence[Reply], request: str | None = None
    ) -> RunResult | Pause:
        body = {"op": "results", "run": run_id, "round": number, "request": request}
        opening = body | {"answer": self._answer}
        told = json.dumps([_told(reply) for reply in replies]).encode("ascii")
        return await self._step(opening, told, (opening, told))

    async def leave(self, run_id: str, number: int) -> bool:
        try:
            await self._cancel({"run": run_id, "round": number, "answer": self._answer})
        except SandboxConflict:
            return False
        except SandboxRunUnknown:
            pass  # it has ended
        return True

    async def cancel(self, request: str) -> bool:
        try:
            await self._cancel({"request": request})
        except SandboxRunUnknown:
            return False
        return True

    async def _cancel(self, which: Mapping[str, Any]) -> None:
        with _one_way("a run was cancelled"):
            connection = await self._connect()
            with connection.request(Channel, {"op": "cancel", **which}) as channel:
                await channel.end()

    async def missing(self, files: Sequence[TaggedPath]) -> set[str]:
        known = frozenset(file.path for file in files)
        wanted = json.dumps([{"path": file.path, "tag": file.tag} for file in files]).encode("ascii")
        with _one_way("files were compared"):
            connection = await self._connect()
            with connection.request(partial(Paths, known=known), {"op": "missing"}) as channel:
                await channel.write(wanted)
                channel.finish()
                await channel.end()
                return channel.paths

    async def put(
        self, path: str, chunks: AsyncIterator[bytes], *, tag: str, read_only: bool = False
    ) -> None:
        with _one_way("a file was written"):
            connection = await self._connect()
            request = {"op": "put", "path": path, "tag": tag, "read_only": read_only}
            with connection.request(Channel, request) as channel:
                async for chunk in chunks:
                    await channel.write(chunk)
                sent = channel.finish()
                if number(await channel.end(), "size") != sent:
                    raise SandboxError("the sandbox did not keep all of a file")

    async def get(self, path: str, *, tag: str) -> AsyncGenerator[bytes, None]:
        received = 0
        with _one_way("a file was read"):
            connection = await self._connect()
            with connection.request(Download, {"op": "get", "path": path, "tag": tag}) as channel:
                async with contextlib.aclosing(channel.chunks()) as chunks:
                    async for chunk in chunks:
                        received += len(chunk)
                        if received > self._limits.file_bytes:
                            raise SandboxFileTooLarge(f"the file is over {self._limits.file_bytes} bytes")
                        yield chunk
                if number(await channel.end(), "size") != received:
                    raise SandboxError("the sandbox did not send all of a file")

    async def _run(self, spec: RunSpec, follow: _Follow) -> RunResult:
        connection = await self._connect()
        boot = connection.hello.boot
        request = self._opening(spec)
        code: bytes | None = spec.code.encode("utf-8", "replace")
        while True:
            try:
                return await follow(connection, request, code)
            except ConnectionLost as cut:
                connection = await self._redial(cut, boot)
                request, code = {"op": "attach", "run": spec.run_id}, None

    def _opening(self, spec: RunSpec) -> dict[str, Any]:
        return {
            "op": "run",
            "run": spec.run_id,
            "lang": spec.language,
            "args": list(spec.args),
            "timeout_ms": round(min(spec.timeout, self._limits.run_seconds) * 1000),
            "live": spec.live,
            **({"request": spec.name} if spec.name else {}),
        }

    async def _step(
        self, opening: Mapping[str, Any], data: bytes | None, again: _Request, queue: float = 0.0
    ) -> RunResult | Pause:
        """`again` is asked after a cut: the runner takes neither code nor replies twice."""
        try:
            async with asyncio.timeout(self._limits.run_seconds + STEP_SECONDS + queue):
                with _nonsense_is_loss():
                    connection = await self._connect()
                    boot = connection.hello.boot
                    while True:
                        try:
                            return await self._take_step(connection, opening, data)
                        except ConnectionLost as cut:
                            connection = await self._redial(cut, boot)
                            opening, data = again
        except TimeoutError:
            raise SandboxError("the sandbox did not end the run in time") from None

    async def _take_step(
        self, connection: Connection, opening: Mapping[str, Any], data: bytes | None
    ) -> RunResult | Pause:
        kind = partial(Step, output_bytes=self._limits.output_bytes, files=self._limits.files)
        with connection.request(kind, opening) as channel:
            await _send(channel, data)
            end = await channel.end()
            if end.get("outcome") == _CALLS:
                return Pause(number(end, "round"), channel.calls(), bytes(channel.stdout))
            return _result(end, channel)

    async def _plain(
        self, connection: Connection, request: Mapping[str, Any], code: bytes | None
    ) -> RunResult:
        kind = partial(Output, output_bytes=self._limits.output_bytes, files=self._limits.files)
        with connection.request(kind, request) as channel:
            await _send(channel, code)
            return _result(await channel.end(), channel)

    def _telling(self, heard: Heard) -> _Follow:
        limits, so_far = self._limits, Counter[Stream]()
        kind = partial(Told, output_bytes=limits.output_bytes, files=limits.files, heard=so_far)

        async def follow(connection: Connection, request: Mapping[str, Any], code: bytes | None) -> RunResult:
            with connection.request(kind, request) as channel:
                await _send(channel, code)
                await channel.tell(heard)
                return _result(await channel.end(), channel)

        return follow

    async def _connect(self) -> Connection:
        try:
            return await self._verified()
        except ConnectionLost as cut:
            return await self._redial(cut)

    async def _verified(self) -> Connection:
        connection = await self._line.connect()
        await connection.verify()
        return connection

    async def _redial(self, cut: ConnectionLost, boot: str | None = None) -> Connection:
        """A new connection, to the same runner process if its `boot` id is given."""
        try:
            async with asyncio.timeout(REDIAL_SECONDS):
                connection = await self._dial_until_through()
        except TimeoutError:
            raise SandboxLost(f"the connection to the sandbox was lost and did not come back: {cut}") from cut
        if boot not in (None, connection.hello.boot):
            raise SandboxLost("the sandbox was restarted during the run")
        return connection

    async def _dial_until_through(self) -> Connection:
        ceiling = _FIRST_DELAY
        while True:
            await asyncio.sleep(random.uniform(0, ceiling))  # noqa: S311
            ceiling = min(2 * ceiling, _LAST_DELAY)
            with contextlib.suppress(ConnectionLost):
                return await self._verified()


async def _send(channel: Channel, data: bytes | None) -> None:
    if data is not None:
        await channel.write(data)
        channel.finish()


def _told(reply: Reply) -> dict[str, Any]:
    if reply.error is not None:
        return {"id": reply.call_id, "error": reply.error}
    return {"id": reply.call_id, "value": reply.value}


def _result(end: Mapping[str, Any], output: Output) -> RunResult:
    try:
        outcome = Outcome(str(end.get("outcome")))
    except ValueError:
        raise ProtocolError("END of a run without an outcome") from None
    return RunResult(
        outcome=outcome,
        exit_code=_code(end, "exit_code"),
        signal=_code(end, "signal"),
        wall_ms=duration(end, "wall_ms"),
        cpu_ms=duration(end, "cpu_ms"),
        stdout=bytes(output.stdout),
        stderr=bytes(output.stderr),
        truncated=output.truncated or end.get("truncated") is True,
        changed=list(output.changed.values()),
        deleted=list(output.deleted),
        files_dropped=number(end, "files_dropped") + output.dropped,
        first_output=output.first_output,
    )


def _code(end: Mapping[str, Any], name: str) -> int | None:
    value = end.get(name)
    if value is not None and (type(value) is not int or not 0 <= value <= 255):
        raise ProtocolError(f"{name} is no code")
    return value


@contextlib.contextmanager
def _nonsense_is_loss() -> Iterator[None]:
    try:
        yield
    except ProtocolError as error:
        raise SandboxLost(f"the sandbox's runner broke the protocol: {error}") from error


@contextlib.contextmanager
def _one_way(what: str) -> Iterator[None]:
    """For requests that are not taken up again when the connection is cut; to repeat them does no harm."""
    with _nonsense_is_loss():
        try:
            yield
        except ConnectionLost as cut:
            raise SandboxError(f"the connection to the sandbox was cut while {what}: {cut}") from cut
