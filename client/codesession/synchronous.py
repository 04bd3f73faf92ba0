"""The client for code that waits."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Generator, Iterator, Sequence
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


class Stream(Iterator[Event]):
    """The events of one run. To leave it before its end, by `close` or `with`, cancels the run."""

    def __init__(self, events: Generator[Event, None, None]) -> None:
        self._events = events

    def __next__(self) -> Event:
        return next(self._events)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._events.close()


class Client:
    """`url` is as LibreChat has it (default CODESESSION_URL, or else `http://127.0.0.1:8000/v1`), `key` what
    the server asks for (default CODESESSION_API_KEY). Safe to be used by several threads.

    All methods raise CodeSessionError. What was refused for want of room, and cannot have run, is tried again
    with the given patience.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        patience: Patience | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._server = Server.of(url, key)
        self._patience = patience or Patience()
        self._http = httpx.Client(transport=transport, **connection.options(self._server))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def execute(
        self,
        code: str,
        lang: str = "py",
        *,
        session: str | None = None,
        files: Sequence[File | Source] = (),
        args: Sequence[str] = (),
        seconds: float | None = None,
    ) -> Result:
        """Run a program and wait for its end. It finds the files of the `session` of an earlier result and,
        in Python, the variables of the calls that named it; `files` are put beside it, local ones after an
        upload; `seconds` is what it may take."""
        run = Run(code, lang, session, tuple(args), seconds)
        return self._done(calls.execute(run, self._stored(files)))

    def stream(
        self,
        code: str,
        lang: str = "py",
        *,
        session: str | None = None,
        files: Sequence[File | Source] = (),
        args: Sequence[str] = (),
        seconds: float | None = None,
    ) -> Stream:
        """The same, told while it happens; the last event is `End`. Nothing is asked before the first is."""
        run = Run(code, lang, session, tuple(args), seconds)
        return Stream(self._streamed(run, files))

    def open_session(self, lang: str = "py") -> str:
        """A session to be named in calls, which then share files and, in Python, variables."""
        return calls.session_of(self.execute("", lang))

    def sessions(self) -> tuple[Session, ...]:
        """The live sessions of whoever the key is, the newest first."""
        return self._done(calls.sessions())

    def upload(
        self,
        source: Source,
        name: str | None = None,
        *,
        read_only: bool = False,
        progress: Progress | None = None,
    ) -> File:
        """Store a file, read from the disk while it is sent. `read_only`: not to be written by code."""
        return self._done(calls.upload(Form.of(source, name, read_only=read_only, progress=progress)))

    def files(self, session: str) -> tuple[File, ...]:
        """What a session made or was given, the oldest first; of an unknown one, none."""
        return self._done(calls.files(session))

    def read(self, file: File) -> bytes:
        """Its bytes, in memory."""
        return self._done(calls.download(file))

    def download(
        self,
        file: File,
        folder: str | os.PathLike[str] = ".",
        *,
        name: str | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """Write it below the folder and never outside, whatever its name; replaces what has that name."""
        target = Target(folder, name or file.name)
        try:
            with self._open(calls.download(file)) as response:
                whole, through = connection.length(response), 0
                for chunk in response.iter_bytes(PIECE):
                    target.write(chunk)
                    through += len(chunk)
                    if progress:
                        progress(through, whole)
            return target.commit()
        finally:
            target.abandon()

    def delete(self, what: str | File) -> None:
        """A session by its id, with its sandbox and all its files; or one file."""
        self._done(calls.delete(what))

    def _stored(self, files: Sequence[File | Source]) -> list[File]:
        return [file if isinstance(file, File) else self.upload(file) for file in files]

    def _streamed(self, run: Run, files: Sequence[File | Source]) -> Generator[Event, None, None]:
        call = calls.execute(run, self._stored(files), streamed=True)
        with self._open(call) as response:
            transcript = Transcript(response.headers.get("content-type", ""))
            for chunk in response.iter_bytes():
                yield from transcript.feed(chunk)
            yield from transcript.close()

    def _done(self, call: Call[T]) -> T:
        with self._open(call) as response:
            return call.read(response.read())

    @contextlib.contextmanager
    def _open(self, call: Call[Any]) -> Iterator[httpx.Response]:
        """An answer whose body is still to come. Raises RefusedError, UnreachableError."""
        retries = Retries(self._patience, repeatable=call.repeatable)
        with connection.translated():
            while True:
                content = call.form.pieces() if call.form else call.body
                with self._http.stream(**connection.request(self._server, call), content=content) as response:
                    if response.is_success:
                        yield response
                        return
                    refused = connection.refused(response, response.read())
                time.sleep(retries.delay(refused))
