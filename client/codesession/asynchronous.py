"""The client for asyncio: `synchronous` with other I/O. Local files are read and written in threads."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from codesession import calls, connection
from codesession.calls import Call, Run, Server
from codesession.events import Event, Transcript
from codesession.form import PIECE, Form, Progress, Source
from codesession.models import File, Result, Session
from codesession.names import Target
from codesession.patience import Patience, Retries

T = TypeVar("T")


class AsyncStream(AsyncIterator[Event]):
    """The events of one run. To leave it before its end, by `aclose` or `async with`, cancels the run."""

    def __init__(self, events: AsyncGenerator[Event, None]) -> None:
        self._events = events

    async def __anext__(self) -> Event:
        return await anext(self._events)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._events.aclose()


class AsyncClient:
    """As `Client`, for any number of calls at one time in one event loop."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        patience: Patience | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._server = Server.of(url, key)
        self._patience = patience or Patience()
        self._http = httpx.AsyncClient(transport=transport, **connection.options(self._server))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def execute(
        self,
        code: str,
        lang: str = "py",
        *,
        session: str | None = None,
        files: Sequence[File | Source] = (),
        args: Sequence[str] = (),
        seconds: float | None = None,
    ) -> Result:
        """See `Client.execute`. To cancel it cancels the run."""
        run = Run(code, lang, session, tuple(args), seconds)
        return await self._done(calls.execute(run, await self._stored(files)))

    def stream(
        self,
        code: str,
        lang: str = "py",
        *,
        session: str | None = None,
        files: Sequence[File | Source] = (),
        args: Sequence[str] = (),
        seconds: float | None = None,
    ) -> AsyncStream:
        """See `Client.stream`."""
        run = Run(code, lang, session, tuple(args), seconds)
        return AsyncStream(self._streamed(run, files))

    async def open_session(self, lang: str = "py") -> str:
        """See `Client.open_session`."""
        return calls.session_of(await self.execute("", lang))

    async def sessions(self) -> tuple[Session, ...]:
        """See `Client.sessions`."""
        return await self._done(calls.sessions())

    async def upload(
        self,
        source: Source,
        name: str | None = None,
        *,
        read_only: bool = False,
        progress: Progress | None = None,
    ) -> File:
        """See `Client.upload`. `progress` is called in a thread."""
        return await self._done(calls.upload(Form.of(source, name, read_only=read_only, progress=progress)))

    async def files(self, session: str) -> tuple[File, ...]:
        """See `Client.files`."""
        return await self._done(calls.files(session))

    async def read(self, file: File) -> bytes:
        """See `Client.read`."""
        return await self._done(calls.download(file))

    async def download(
        self,
        file: File,
        folder: str | os.PathLike[str] = ".",
        *,
        name: str | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """See `Client.download`."""
        target = Target(folder, name or file.name)
        try:
            async with self._open(calls.download(file)) as response:
                whole, through = connection.length(response), 0
                async for chunk in response.aiter_bytes(PIECE):
                    await asyncio.to_thread(target.write, chunk)
                    through += len(chunk)
                    if progress:
                        progress(through, whole)
            return target.commit()
        finally:
            target.abandon()

    async def delete(self, what: str | File) -> None:
        """See `Client.delete`."""
        await self._done(calls.delete(what))

    async def _stored(self, files: Sequence[File | Source]) -> list[File]:
        return [file if isinstance(file, File) else await self.upload(file) for file in files]

    async def _streamed(self, run: Run, files: Sequence[File | Source]) -> AsyncGenerator[Event, None]:
        call = calls.execute(run, await self._stored(files), streamed=True)
        async with self._open(call) as response:
            transcript = Transcript(response.headers.get("content-type", ""))
            async for chunk in response.aiter_bytes():
                for event in transcript.feed(chunk):
                    yield event
            for event in transcript.close():
                yield event

    async def _done(self, call: Call[T]) -> T:
        async with self._open(call) as response:
            return call.read(await response.aread())

    @contextlib.asynccontextmanager
    async def _open(self, call: Call[Any]) -> AsyncIterator[httpx.Response]:
        """An answer whose body is still to come. Raises RefusedError, UnreachableError."""
        retries = Retries(self._patience, repeatable=call.repeatable)
        with connection.translated():
            while True:
                content = _threaded(call.form.pieces()) if call.form else call.body
                request = connection.request(self._server, call)
                async with self._http.stream(**request, content=content) as response:
                    if response.is_success:
                        yield response
                        return
                    refused = connection.refused(response, await response.aread())
                await asyncio.sleep(retries.delay(refused))


async def _threaded(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
