"""Either client for tests, against a server of one test or a real one."""

from __future__ import annotations

import inspect
from typing import Any, Protocol

import httpx

from codesession import AsyncClient, Client, Patience
from e2e.targets import Target


class Handler(Protocol):
    """A server of one test."""

    def __call__(self, request: httpx.Request) -> httpx.Response: ...


class Ask:
    """A method of either client, by its name: what holds of one must hold of the other."""

    def __init__(self, kind: str) -> None:
        self._is_async = kind == "async"

    async def __call__(
        self,
        where: Handler | Target,
        method: str,
        *args: Any,
        patience: Patience | None = None,
        **options: Any,
    ) -> Any:
        """What it returns; of a stream all events, those before an error being lost."""
        given: dict[str, Any] = {"patience": patience}
        if isinstance(where, Target):
            given |= {"url": where.url, "key": where.key}
        else:
            given |= {"url": "http://server/v1", "transport": httpx.MockTransport(where)}
        if not self._is_async:
            with Client(**given) as client:
                found = getattr(client, method)(*args, **options)
                return list(found) if method == "stream" else found
        async with AsyncClient(**given) as asynchronous:
            found = getattr(asynchronous, method)(*args, **options)
            return await found if inspect.isawaitable(found) else [event async for event in found]
