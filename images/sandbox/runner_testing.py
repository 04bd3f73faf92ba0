"""An API replica as small as can be, and the runner process that it speaks to."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import codesession_runner
from codesession_runner.frames import PAID, WINDOW, Decoder, Frame, Kind, chunks, credit, message
from codesession_runner.processes import children

PACKAGE = Path(codesession_runner.__file__).parent
PATIENCE = 30.0
"""Seconds to wait for what must come; long, for a machine that does other things too."""


@dataclass
class Answer:
    """All that a channel brought."""

    end: dict[str, Any]
    stdout: bytes = b""
    stderr: bytes = b""
    data: bytes = b""
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def error(self) -> str | None:
        """The code of an END that refuses."""
        code: str | None = self.end.get("error", {}).get("code")
        return code


class Client:
    """One connection. `generous` grants credit for whatever comes; without, a channel stalls at a window."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, generous: bool) -> None:
        self.hello: dict[str, Any] = {}
        self.generous = generous
        self.received: dict[int, list[Frame]] = defaultdict(list)
        self.numbers = itertools.count(1)
        self._reader = reader
        self._writer = writer
        self._news = asyncio.Condition()
        self._closed = False
        self._task = asyncio.create_task(self._receive())

    async def greet(self) -> None:
        self.hello = (await self.frame(0, Kind.HELLO)).json()
        self.send(message(Kind.HELLO, 0, {"protocol": 1}))

    def send(self, *frames: Frame) -> None:
        self._writer.writelines([frame.encode() for frame in frames])

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    def open(self, body: Mapping[str, Any], data: bytes | None = None) -> int:
        """Begin a request and, within one window, say all of it; its channel."""
        number = next(self.numbers)
        self.send(message(Kind.OPEN, number, body))
        if data is not None:
            assert len(data) <= WINDOW
            self.send(*(Frame(Kind.DATA, number, piece) for piece in chunks(data)), Frame(Kind.EOF, number))
        return number

    async def request(self, body: Mapping[str, Any], data: bytes | None = None) -> Answer:
        """A whole exchange, with any amount of data."""
        number = self.open(body)
        if data is not None:
            await self.upload(number, data)
        return await self.answer(number)

    async def upload(self, number: int, data: bytes) -> None:
        """Send data and its end as the runner grants credit, or until it ends the channel."""
        sent = 0
        for piece in chunks(data):
            sent += len(piece)
            frames = await self.frames(number, partial(_may_send, sent))
            if _ended(frames):
                return
            self.send(Frame(Kind.DATA, number, piece))
        self.send(Frame(Kind.EOF, number))

    async def run(self, code: str, *args: str, lang: str = "py", **options: Any) -> Answer:
        body = {"op": "run", "run": f"run-{os.urandom(4).hex()}", "lang": lang, "args": args, **options}
        return await self.request(body, code.encode())

    async def answer(self, number: int) -> Answer:
        """The answer on a channel, once it has ended."""
        end = (await self.frame(number, Kind.END)).json()
        frames = self.received.pop(number)

        def joined(kind: Kind) -> bytes:
            return b"".join(frame.payload for frame in frames if frame.kind is kind)

        records = [frame.json() for frame in frames if frame.kind is Kind.RECORD]
        return Answer(end, joined(Kind.STDOUT), joined(Kind.STDERR), joined(Kind.DATA), records)

    async def frame(self, number: int, kind: Kind) -> Frame:
        """The first frame of a kind on a channel; ConnectionError when the connection ends before."""
        frames = await self.frames(number, lambda frames: any(frame.kind is kind for frame in frames))
        return next(frame for frame in frames if frame.kind is kind)

    async def closed(self) -> None:
        """Wait until the runner has closed the connection."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: self._closed)

    async def aclose(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def cut(self) -> None:
        """Close without a word, as a broken stream does."""
        self._writer.transport.abort()

    async def frames(self, number: int, satisfied: Callable[[list[Frame]], bool]) -> list[Frame]:
        """What has come on a channel, once that is enough."""
        frames = self.received[number]
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: self._closed or satisfied(frames))
        if not satisfied(frames):
            raise ConnectionError("the runner closed the connection")
        return frames

    async def _receive(self) -> None:
        decoder = Decoder()
        with contextlib.suppress(OSError):
            while data := await self._reader.read(256 * 1024):
                for frame in decoder.feed(data):
                    self.received[frame.channel].append(frame)
                    if self.generous and frame.kind in PAID:
                        self.send(credit(frame.channel, len(frame.payload)))
                async with self._news:
                    self._news.notify_all()
        async with self._news:
            self._closed = True
            self._news.notify_all()


def _may_send(size: int, frames: list[Frame]) -> bool:
    granted = WINDOW + sum(frame.credit() for frame in frames if frame.kind is Kind.CREDIT)
    return size <= granted or _ended(frames)


def _ended(frames: list[Frame]) -> bool:
    return any(frame.kind is Kind.END for frame in frames)


class RunnerProcess:
    """A real runner; on a socket unless `stdio`."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path, prefix: tuple[str, ...]) -> None:
        self.process = process
        self._prefix = prefix
        self.workspace = directory / "data"
        self.socket = directory / "runner.sock"

    @classmethod
    async def start(
        cls,
        directory: Path,
        *,
        stdio: bool = False,
        prefix: tuple[str, ...] = (),
        python: str = sys.executable,
        **settings: object,
    ) -> RunnerProcess:
        arguments = [*prefix, python, "-I", str(PACKAGE), *(["--stdio"] if stdio else [])]
        process = await asyncio.create_subprocess_exec(
            *arguments,
            env=_environment(directory, settings),
            stdin=asyncio.subprocess.PIPE if stdio else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if stdio else asyncio.subprocess.DEVNULL,
        )
        return cls(process, directory, prefix)

    @property
    def pid(self) -> int:
        """The runner's own, below the program of `prefix` if that one stays."""
        if self._prefix:
            program = Path(f"/proc/{self.process.pid}/cmdline").read_text().split("\0")[0]
            if program in self._prefix:
                return min(children(self.process.pid))
        return self.process.pid

    async def connect(self, *, generous: bool = True) -> Client:
        """A connection that has been greeted."""
        reader, writer = await self.streams()
        client = Client(reader, writer, generous=generous)
        try:
            await client.greet()
        except BaseException:
            await client.aclose()
            raise
        return client

    async def streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.process.stdin is not None:
            assert self.process.stdout is not None
            return self.process.stdout, self.process.stdin
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    return await asyncio.open_unix_connection(self.socket)
                except OSError:
                    assert self.process.returncode is None
                    await asyncio.sleep(0.02)

    async def stop(self) -> int:
        """Ask it to stop; its exit status."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            raise


@contextlib.asynccontextmanager
async def running(directory: Path, **options: Any) -> AsyncIterator[RunnerProcess]:
    runner = await RunnerProcess.start(directory, **options)
    try:
        yield runner
    finally:
        await runner.stop()


@contextlib.asynccontextmanager
async def connected(runner: RunnerProcess, *, generous: bool = True) -> AsyncIterator[Client]:
    client = await runner.connect(generous=generous)
    try:
        yield client
    finally:
        await client.aclose()


def entries(*pairs: tuple[str, str]) -> bytes:
    """The body of `missing`."""
    return json.dumps([{"path": path, "tag": tag} for path, tag in pairs]).encode()


def _environment(directory: Path, settings: Mapping[str, object]) -> dict[str, str]:
    given = {
        "workspace": directory / "data",
        "socket": directory / "runner.sock",
        "ready_port": 0,
        "preload": "",
        **settings,
    }
    variables = {f"CODESESSION_{name.upper()}": str(value) for name, value in given.items()}
    return {"PATH": os.environ["PATH"], "HOME": str(directory), **variables}
