"""The two ways in. Over streamable HTTP each request stands for itself, so any replica serves it. The legacy
transport answers on a stream that one process holds: its requests must come to the same one (docs/limits.md).
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
from collections.abc import AsyncIterator
from typing import Any

import anyio
from fastapi import Response
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from sse_starlette.sse import AppStatus
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codesession_api.auth import PATH_KEY
from codesession_api.mcp import server
from codesession_api.mcp.calls import Calls
from codesession_api.mcp.server import PRINCIPAL, SESSION_HEADER, SLOT
from codesession_api.mcp.tools import Toolbox
from codesession_api.ports import Principal
from codesession_api.services import Services
from codesession_api.slots import Slots
from codesession_api.streaming import impatient

MESSAGES = "/sse/messages"
_PEEKED = 65536
"""Bytes of the longest message that may be a notification or a handshake."""

# What the SDK logs may hold arguments, which are code and files. What goes wrong is logged by `server`.
for _talkative in ("mcp", "sse_starlette"):
    logging.getLogger(_talkative).setLevel(logging.CRITICAL + 1)


# The SDK's responses would end with the signal to stop. Calls have until the end of what is under way; the
# legacy streams, which never end by themselves, are ended by `leave`.
AppStatus.enable_automatic_graceful_drain = False


class Front:
    def __init__(self, services: Services) -> None:
        calls = Calls(services.sandboxes)
        self._calls = calls
        self._open: set[anyio.CancelScope] = set()
        self._server = server.of(Toolbox(services, calls))
        limit = services.settings.request_bytes
        unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # see `guard`
        self._http = StreamableHTTPSessionManager(
            self._server, stateless=True, security_settings=unchecked, max_request_body_size=limit
        )
        self._sse = SseServerTransport(MESSAGES, unchecked, max_request_body_size=limit)
        self.streams = Slots(
            services.settings.concurrent_runs, services.settings.principal_runs, counted=False
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self._http.run():
            yield

    def leave(self) -> None:
        """End the streams that would go on for ever."""
        for stream in self._open:
            stream.cancel()

    async def streamable(self, by: Principal, session: str | None, body: bytes) -> Response:
        """The answer to a message that was read whole."""
        message = _peek(body)
        if message.get("method") == "notifications/cancelled":
            # The SDK would look for the request among those of this connection, which has none other.
            params = message.get("params")
            request = params.get("requestId") if isinstance(params, dict) else None
            if isinstance(request, str | int):
                await self._calls.cancel(by, session, request)
            return Response(status_code=202)
        greeting = message.get("method") == "initialize"
        return _Exchange(self._http.handle_request, by, body=body, greeting=greeting)

    def stream(self, by: Principal) -> Response:
        return _Exchange(self._streamed, by)

    def message(self, by: Principal) -> Response:
        return _Exchange(self._sse.handle_post_message, by)

    async def _streamed(self, scope: Scope, receive: Receive, send: Send) -> None:
        with anyio.CancelScope() as stream:
            self._open.add(stream)
            try:
                async with self._sse.connect_sse(scope, receive, send) as (incoming, outgoing):
                    options = self._server.create_initialization_options()
                    await self._server.run(incoming, outgoing, options)
            finally:
                self._open.discard(stream)
        if stream.cancelled_caught:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Exchange(Response):
    """An application of the SDK as a response, which knows whose request it is."""

    def __init__(
        self, app: ASGIApp, by: Principal, *, body: bytes | None = None, greeting: bool = False
    ) -> None:
        super().__init__()
        self._app = app
        self._by = by
        self._body_read = body
        self._greeting = greeting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[PRINCIPAL] = self._by
        scope[SLOT] = self._body_read is not None
        # By it the SDK lets nobody else speak on a stream.
        scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=_client(self._by), scopes=[]))
        if key := scope.get(PATH_KEY):
            scope["root_path"] = f"/k/{key}"  # where the client finds the way back
        await self._app(scope, self._again(receive), self._naming(impatient(send)))

    def _again(self, receive: Receive) -> Receive:
        """With the body that was read already."""
        read = self._body_read
        if read is None:
            return receive
        messages: list[Message] = [{"type": "http.request", "body": read, "more_body": False}]

        async def next_message() -> Message:
            return messages.pop() if messages else await receive()

        return next_message

    def _naming(self, send: Send) -> Send:
        """With an id for the client's session, which is nothing but a name for its requests (`calls`)."""
        if not self._greeting:
            return send

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                MutableHeaders(scope=message)[SESSION_HEADER] = secrets.token_urlsafe(24)
            await send(message)

        return named


def _client(by: Principal) -> str:
    return f"{by.tenant}/{by.principal}"


def _peek(body: bytes) -> dict[str, Any]:
    if len(body) > _PEEKED:
        return {}
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}
