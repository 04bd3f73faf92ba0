"""/livez, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from aiohttp import web

Check = Callable[[], bool]
Sample = tuple[str, dict[str, str], float]
"""Name, labels, value."""


@asynccontextmanager
async def serving(
    host: str, port: int, *, live: Check, ready: Check, samples: Callable[[], Iterable[Sample]]
) -> AsyncIterator[None]:
    """Answer on that address while the block runs. A check that fails is a 503."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text="".join(map(_line, samples())))

    app = web.Application()
    app.add_routes(
        [
            web.get("/livez", _answering(live)),
            web.get("/readyz", _answering(ready)),
            web.get("/metrics", metrics),
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


def _line(sample: Sample) -> str:
    name, labels, value = sample
    inner = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {value:g}\n" if inner else f"{name} {value:g}\n"
