"""One call of a tool while it goes on: it can be told of, and be cancelled from any replica.

A client names its requests by small numbers, which name something only together with the id of its MCP
session. That id is given out with `initialize` and kept by nobody: it takes 192 bits by chance to know it,
and it is good for its principal alone. Sandboxes that are claimed in it have a hint made of it, by which
another replica finds the run. Without such an id a call can only be cancelled by leaving.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio

from codesession_api import cancelling
from codesession_api.errors import ApiError
from codesession_api.ports import Principal, Sandboxes

PROGRESS_SECONDS = 2.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """`progress` is given the seconds that it took so far, and a word on what goes on."""

    by: Principal
    progress: Callable[[float, str], Awaitable[None]]
    links: bool = True
    """Whether the client's version of the protocol knows links to resources."""
    group: str | None = None
    """Stands for the MCP session, fit for a hint."""
    name: str | None = None
    """Stands for this request in it."""


class Cancelled(ApiError):  # noqa: N818
    """By the client, which no longer waits for an answer."""

    def __init__(self) -> None:
        super().__init__(499, "cancelled", "The call was cancelled.")


def group_of(by: Principal, session: str | None) -> str | None:
    """The group of the calls with this `Mcp-Session-Id`."""
    return _hashed("group", by.tenant, by.principal, session) if session else None


def name_of(group: str | None, request: str | int | None) -> str | None:
    """The name of the call with this JSON-RPC id."""
    return _hashed("call", group, str(request)) if group and request is not None else None


def _hashed(*parts: str) -> str:
    return hashlib.sha256("\0".join(("mcp", *parts)).encode("utf-8", "replace")).hexdigest()[:32]


class Calls:
    """Those that are under way here."""

    def __init__(self, sandboxes: Sandboxes) -> None:
        self._sandboxes = sandboxes
        self._running: dict[str, asyncio.Task[Any]] = {}

    async def follow(self, call: Call, work: Coroutine[Any, Any, T], said: Callable[[], str]) -> T:
        """The result of `work`, which ends with its caller. `said` is asked now and then for what goes on."""
        task = asyncio.create_task(work)
        if call.name:
            self._running[call.name] = task
        begun = asyncio.get_running_loop().time()
        try:
            while not (await asyncio.wait({task}, timeout=PROGRESS_SECONDS))[0]:
                await call.progress(round(asyncio.get_running_loop().time() - begun, 1), said())
            if task.cancelled():
                raise Cancelled
            return task.result()
        finally:
            if call.name:
                self._running.pop(call.name, None)
            task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait({task})

    async def cancel(self, by: Principal, session: str | None, request: str | int | None) -> None:
        """End the call, if it is under way anywhere. Before its code runs only its own replica knows it."""
        group = group_of(by, session)
        name = name_of(group, request)
        if group is None or name is None:
            return
        if task := self._running.get(name):
            task.cancel()
        else:
            await cancelling.cancel(self._sandboxes, by, group, name)
