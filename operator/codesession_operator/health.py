"""/livez, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

Check = Callable[[], bool]


@asynccontextmanager
async def serving(
    host: str, port: int, *, live: Check, ready: Check, metrics: Callable[[], bytes]
) -> AsyncIterator[None]:
    """Answer on that address while the block runs. A check that fails is a 503; `metrics` gives
    Prometheus' text."""

    async def told(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes(
        [
            web.get("/livez", _answering(live)),
            web.get("/readyz", _answering(ready)),
            web.get("/metrics", told),
        ]
    )
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()


def _answering(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        good = check()
        return web.Response(status=200 if good else 503, text="ok\n" if good else "not ok\n")

    return answer
