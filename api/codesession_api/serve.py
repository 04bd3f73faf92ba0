"""One process of the API: what it works with is opened, and requests are served until it is told to stop."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from codesession_api import metrics, tracing
from codesession_api.app import create_app, leave
from codesession_api.objects import open_objects
from codesession_api.ports import Sandboxes
from codesession_api.protocol import BoundedProtocol
from codesession_api.settings import Settings

_KEEP_ALIVE_SECONDS = 75
"""Longer than clients keep an idle connection, so that it is not closed as they send the next request."""

Announce = Callable[[str, Sandboxes], None]


class ServeError(Exception):
    """The address cannot be listened on."""


async def serve(settings: Settings, announce: Announce) -> None:
    """`announce` is called once, with the URL, when requests are taken."""
    with _listen(settings.host, settings.port) as listener, _metrics(settings), tracing.opened(settings):
        await _serve(settings, announce, listener)


async def _serve(settings: Settings, announce: Announce, listener: socket.socket) -> None:
    sandboxes = await open_sandboxes(settings)
    try:
        app = create_app(settings, sandboxes, await open_objects(settings))
    except BaseException:
        await sandboxes.aclose()
        raise
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    server = _Server(_config(app, settings), lambda: announce(url, sandboxes), lambda: leave(app))
    await server.serve(sockets=[listener])


async def open_sandboxes(settings: Settings) -> Sandboxes:
    """Only the backend that is used is imported."""
    if settings.backend == "local":
        from codesession_api.sandboxes.local import open_local

        return await open_local(settings)
    from codesession_api.sandboxes.kubernetes import open_kubernetes

    return await open_kubernetes(settings)


@contextlib.contextmanager
def _metrics(settings: Settings) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(metrics.served(settings.host, settings.metrics_port))
        except OSError as error:
            raise ServeError(f"cannot listen on port {settings.metrics_port}: {error.strerror}") from None
        yield


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, announce: Callable[[], None], leave: Callable[[], None] = lambda: None
    ) -> None:
        """`leave` is called before what is under way is waited for."""
        super().__init__(config)
        self._announce = announce
        self._leave = leave

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._leave()
        await super().shutdown(sockets)


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ServeError(f"cannot listen on {host} port {port}: {error.strerror}") from None
