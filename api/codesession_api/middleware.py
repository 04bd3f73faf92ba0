"""What happens around every request: its path is made plain, it gets an id, and a line of it is logged."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import secrets
import time
from typing import Any
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codesession_api import metrics, tracing
from codesession_api.auth import PATH_KEY, take_path_key
from codesession_api.errors import refusal
from codesession_api.log import request_id
from codesession_api.settings import MIB

access = logging.getLogger("codesession.access")

_SLASHES = re.compile("/{2,}")
_GIVEN_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_QUIET = frozenset({"/livez", "/readyz"})
_KEPT_ALIVE = frozenset({"/exec", "/run/exec", "/exec/programmatic"})
_CLIENT_LEFT = 499
_LINGER_SECONDS = 5.0
_LINGER_BYTES = 64 * MIB


class Edge:
    """Outermost, and pure ASGI, so that nothing is buffered and a disconnect comes through."""

    def __init__(self, app: ASGIApp, *, path_keys: bool = False) -> None:
        self._app = app
        self._path_keys = path_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if self._path_keys:
            path, scope[PATH_KEY] = take_path_key(path)
        scope["path"] = plain(path)
        scope["raw_path"] = quote(scope["path"]).encode()
        await _Exchange(scope, receive, send).serve(self._app)


def plain(path: str) -> str:
    """`//v1//exec/` is `/exec`: the base URL of a client may end in a slash, and in `/v1` or not."""
    path = _SLASHES.sub("/", path)
    if path == "/v1" or path.startswith("/v1/"):
        path = path.removeprefix("/v1")
    return path.rstrip("/") or "/"


class _Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._next = receive
        self._forward = send
        self._status: int | None = None
        headers = dict(scope["headers"])
        self._unread = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        self._parent = headers.get(b"traceparent", b"").decode("latin-1")
        self._id = given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)

    async def serve(self, app: ASGIApp) -> None:
        request_id.set(self._id)
        if self._scope["path"] in _QUIET:
            await self._serve(app)
            return
        with tracing.request(self._parent) as span:
            span.set(request_id=self._id)
            try:
                await self._serve(app)
            finally:
                span.answered(*self._answered())

    async def _serve(self, app: ASGIApp) -> None:
        begun = time.perf_counter()
        try:
            await app(self._scope, self._receive, self._send)
        except ClientDisconnect:
            pass
        except Exception as error:
            access.error("a request failed", exc_info=error)
            await self._fail(error)
        finally:
            self._log(time.perf_counter() - begun)

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._id
            # LibreChat < 0.8.4 on Node >= 19 leaves a timer on a socket that was kept alive, which then cuts
            # off an exec that comes to use it: no other response lets its socket be used again. An exec's own
            # leaves no timer, whatever its status: those clients send it by node-fetch, which sets none.
            if self._scope["path"] not in _KEPT_ALIVE:
                headers["connection"] = "close"
        if message["type"] == "http.response.body" and self._unread and not message.get("more_body"):
            await self._forward({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body"}
        await self._forward(message)

    async def _receive(self) -> Message:
        message = await self._next()
        self._unread = self._unread and message.get("more_body", False)
        return message

    async def _linger(self) -> None:
        """Read what a client is still sending, for a while: closing on it would reset the connection, and the
        answer that says why would be lost on the way."""
        read = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while self._unread and read < _LINGER_BYTES:
                    read += len((await self._receive()).get("body", b""))

    async def _fail(self, error: Exception) -> None:
        if self._status is not None:
            raise error
        refused = refusal(error)
        metrics.ERRORS.labels(refused.code).inc()
        body = json.dumps(refused.body()).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self._send({"type": "http.response.start", "status": refused.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _answered(self) -> tuple[str, str, int]:
        """Method, route and status. The route and not the path: ids are capabilities where nobody is asked
        for a key."""
        route: Any = self._scope.get("route")
        return (
            metrics.known_method(self._scope["method"]),
            getattr(route, "path", "(none)"),
            self._status or _CLIENT_LEFT,
        )

    def _log(self, seconds: float) -> None:
        """And count it."""
        method, route, status = self._answered()
        metrics.requested(method, route, status, seconds)
        level = logging.DEBUG if route in _QUIET else logging.INFO
        fields = {
            "method": method,
            "route": route,
            "status": status,
            "milliseconds": round(seconds * 1000, 1),
        }
        access.log(level, "%(method)s %(route)s %(status)s %(milliseconds)s ms", fields, extra=fields)
