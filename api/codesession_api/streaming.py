"""The response that tells a run as it happens, by Server-Sent Events (docs/streaming.md).

Like `patience` it sends nothing until there is something to tell or `interval` has passed, so that a failure
before that has its own status; from then on comments keep a silent connection alive. Nothing is queued: each
event is written before the sandbox is granted more, and uvicorn waits where the socket takes no more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Response
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from codesession_api import metrics
from codesession_api.errors import refusal
from codesession_api.patience import disconnect
from codesession_api.ports import Heard, Stream
from codesession_api.texts import Texts
from codesession_api.wire import ExecAnswer

EVENT_STREAM = "text/event-stream"
STALLED_SECONDS = 60.0
"""A client that takes nothing for so long has left."""

_HEADERS = {
    "content-type": f"{EVENT_STREAM}; charset=utf-8",
    "cache-control": "no-store",
    # nginx, which many an ingress is, would hold events back.
    "x-accel-buffering": "no",
}
_COMMENT = b":\n\n"
TOLD_BEFORE = {"stdout", "stderr", "output"}
"""What the end of a run does not say again."""


def wanted(accept: str) -> bool:
    """Whether the header names events, by their own name."""
    return any(part.partition(";")[0].strip().lower() == EVENT_STREAM for part in accept.split(","))


def event(name: str, data: str) -> bytes:
    """`data` is JSON, which has no line breaks."""
    return f"event: {name}\ndata: {data}\n\n".encode()


def impatient(send: Send) -> Send:
    """Which raises ClientDisconnect where a client takes nothing."""

    async def sent(message: Message) -> None:
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                await send(message)
        except TimeoutError:
            raise ClientDisconnect from None

    return sent


class EventResponse(Response):
    """`work` is given what hears the output. It begins when the response does, and is cancelled when the
    client goes away or stalls."""

    def __init__(self, work: Callable[[Heard], Coroutine[Any, Any, ExecAnswer]], interval: float) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._work = work
        self._interval = interval

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        out = _Out(send, self.raw_headers)
        told = asyncio.create_task(self._tell(out))
        gone = asyncio.create_task(disconnect(receive))
        try:
            while not await self._done(told, gone):
                if gone.done():
                    return
                await out.keep_alive(self._interval)
            await self._finish(told, out)
        finally:
            for task in (told, gone):
                task.cancel()
            await asyncio.wait({told, gone})

    async def _tell(self, out: _Out) -> None:
        texts = Texts()

        async def heard(stream: Stream, data: bytes) -> None:
            if text := texts.decode(stream, data):
                await out.event(stream, json.dumps({"text": text}))

        answer = await self._work(heard)
        for stream, text in texts.rest(answer):
            await out.event(stream, json.dumps({"text": text}))
        if answer.files or answer.deleted_files:
            listed = answer.model_dump_json(exclude_none=True, include={"files", "deleted_files"})
            await out.event("files", listed)
        await out.event("end", answer.model_dump_json(exclude_none=True, exclude=TOLD_BEFORE))

    async def _done(self, told: asyncio.Task[None], gone: asyncio.Task[None]) -> bool:
        await asyncio.wait({told, gone}, timeout=self._interval, return_when=asyncio.FIRST_COMPLETED)
        return told.done()

    async def _finish(self, told: asyncio.Task[None], out: _Out) -> None:
        error = told.exception()
        if error is not None:
            if not out.begun or isinstance(error, ClientDisconnect) or not isinstance(error, Exception):
                raise error
            refused = refusal(error)
            metrics.ERRORS.labels(refused.code).inc()
            await out.event("error", json.dumps(refused.body()))
        await out.close()


class _Out:
    """The body, which begins with the first thing that is written."""

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self.begun = False
        self._send = impatient(send)
        self._headers = headers
        self._turn = asyncio.Lock()
        self._written = asyncio.get_running_loop().time()

    async def event(self, name: str, data: str) -> None:
        await self._write(event(name, data))

    async def keep_alive(self, interval: float) -> None:
        """Write a comment, if it was silent for so long."""
        silent = asyncio.get_running_loop().time() - self._written
        if silent >= interval and not self._turn.locked():
            await self._write(_COMMENT)

    async def close(self) -> None:
        await self._send({"type": "http.response.body"})

    async def _write(self, data: bytes) -> None:
        async with self._turn:
            if not self.begun:
                self.begun = True
                await self._send({"type": "http.response.start", "status": 200, "headers": self._headers})
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
            self._written = asyncio.get_running_loop().time()
