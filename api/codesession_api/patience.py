"""The response to a request that may take minutes: it keeps the connection alive and notices who left.

Until `interval` has passed nothing is sent, so that a failure has its own status. From then on white space is
sent ahead of the JSON, which every JSON parser skips: proxies and the sockets of old LibreChat (< 0.8.4 on
Node >= 19, which gives up after 4 s) see a connection that is alive. Status 200 is decided by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from fastapi import Response
from starlette.types import Receive, Scope, Send

from codesession_api import metrics
from codesession_api.errors import refusal
from codesession_api.wire import ExecAnswer

_HEADERS = {"content-type": "application/json", "cache-control": "no-store"}


class Answer(Protocol):
    def encode(self) -> bytes: ...


def _in_stderr(message: str) -> Answer:
    return ExecAnswer(stderr=message + "\n")


class PatientResponse(Response):
    """`work` begins when the response does, and is cancelled when the client goes away. `late` makes an
    answer of a refusal for which there is no status any more."""

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, Answer]],
        interval: float,
        late: Callable[[str], Answer] = _in_stderr,
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._work = work
        self._interval = interval
        self._late = late

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.create_task(self._work())
        gone = asyncio.create_task(disconnect(receive))
        try:
            await self._send(work, gone, send)
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.wait({work, gone})

    async def _send(self, work: asyncio.Task[Answer], gone: asyncio.Task[None], send: Send) -> None:
        started = False
        while not await self._done(work, gone):
            if gone.done():
                return
            if not started:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                started = True
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
        if started:
            await send({"type": "http.response.body", "body": self._failed_or_done(work).encode()})
            return
        body = work.result().encode()
        self.headers["content-length"] = str(len(body))
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": body})

    async def _done(self, work: asyncio.Task[Answer], gone: asyncio.Task[None]) -> bool:
        """Whether the work is, after at most one interval; at once when the client is gone."""
        await asyncio.wait({work, gone}, timeout=self._interval, return_when=asyncio.FIRST_COMPLETED)
        return work.done()

    def _failed_or_done(self, work: asyncio.Task[Answer]) -> Answer:
        error = work.exception()
        if error is None:
            return work.result()
        if not isinstance(error, Exception):
            raise error
        refused = refusal(error)
        metrics.ERRORS.labels(refused.code).inc()
        return self._late(refused.message)


async def disconnect(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
