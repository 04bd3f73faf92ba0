"""Doing several things at one time, but not too many, and ending what was begun."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def bounded(limit: int, calls: Iterable[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
    """The results of all calls, in their order, with at most `limit` under way. The first error cancels the
    others, waits for them to end, and is raised as it is."""
    free = asyncio.Semaphore(limit)

    async def one(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async with free:
            return await call()

    tasks = [asyncio.create_task(one(call)) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def closing(chunks: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """`chunks`, which are ended here and now rather than when they are collected as garbage: behind them are
    channels, connections and open files."""
    try:
        yield chunks
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
