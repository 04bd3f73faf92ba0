"""List, then watch, and go on for ever: what keeps a cache equal to the API server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from codesession_crds.errors import ApiStatusError, KubeError
from codesession_crds.retry import Backoff

Object = dict[str, Any]
Listing = Callable[[], Awaitable[tuple[list[Object], str]]]
"""Gives all objects, and the resource version of the list."""
Opening = Callable[[dict[str, str]], Awaitable[aiohttp.ClientResponse]]
"""Opens a watch with these query parameters. Raises ApiStatusError, ApiUnreachableError."""

_BACKOFF = Backoff(base=0.2, cap=10.0)


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """A change: ADDED, MODIFIED or DELETED with its `object`; or LISTED with all `items` at once: what is not
    among them is gone, whatever was heard before."""

    type: str
    object: Object
    items: tuple[Object, ...] = ()


async def events(listing: Listing, opening: Opening, inactivity: float) -> AsyncIterator[WatchEvent]:
    """LISTED, then changes; after a gap that cannot be filled, LISTED again. Never ends by itself.

    A stream that is silent for `inactivity` seconds counts as dead: the server sends bookmarks once a minute.
    Raises ApiStatusError only for what waiting does not cure: 4xx other than 410 and 429.
    """
    version: str | None = None
    failures = 0
    while True:
        try:
            if version is None:
                items, version = await listing()
                yield WatchEvent("LISTED", {}, tuple(items))
            failures += 1  # until the stream has shown that it lives
            async for kind, obj in _stream(opening, version, inactivity):
                failures = 0
                version = obj["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    yield WatchEvent(kind, obj)
        except ApiStatusError as error:
            if error.status == 410:
                version = None
            elif error.status < 500 and error.status != 429:
                raise
        except (KubeError, aiohttp.ClientError, TimeoutError):
            failures = max(failures, 1)
        if failures:
            await asyncio.sleep(_BACKOFF.delay(failures - 1))


async def _stream(opening: Opening, version: str, inactivity: float) -> AsyncIterator[tuple[str, Object]]:
    query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
    response = await opening(query)
    async with response:
        async for line in _lines(response.content, inactivity):
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise ApiStatusError.from_status(int(event["object"].get("code", 500)), event["object"])
            yield event["type"], event["object"]


async def _lines(content: aiohttp.StreamReader, inactivity: float) -> AsyncIterator[bytes]:
    """aiohttp's own line iterator refuses lines over 128 KiB."""
    rest = b""
    while True:
        async with asyncio.timeout(inactivity):
            chunk = await content.readany()
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
