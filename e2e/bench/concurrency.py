"""Many clients at one time, each in a live session of its own: what a `print(1)` takes, how many a second."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

from e2e.bench.cases import PRINT, Bench
from e2e.targets import release
from e2e.targets.waiting import eventually

SECONDS = 5.0


async def measure(bench: Bench, levels: Sequence[int]) -> dict[str, float]:
    """Runs a second by level; the samples are the case `concurrent_<level>`."""
    async with _sessions(bench, max(levels)) as sessions:
        # What the last of them took from the pool is being made anew.
        eventually(release.warm_sessions, "a full pool", seconds=120)
        return {
            str(level): round(await _level(bench, sessions[:level], f"concurrent_{level}"), 2)
            for level in levels
        }


@contextlib.asynccontextmanager
async def _sessions(bench: Bench, count: int) -> AsyncIterator[list[str]]:
    """One after the other, since each takes seconds of processor time to start."""
    sessions: list[str] = []
    try:
        while len(sessions) < count:
            sessions.append(await bench.open())
        yield sessions
    finally:
        for session in sessions:
            await bench.end(session)


async def _level(bench: Bench, sessions: Sequence[str], case: str) -> float:
    began = time.perf_counter()
    counts = await asyncio.gather(*(_client(bench, session, case, began + SECONDS) for session in sessions))
    return sum(counts) / (time.perf_counter() - began)


async def _client(bench: Bench, session: str, case: str, until: float) -> int:
    """At least one run, so that every level has samples of every client."""
    count = 0
    while not count or time.perf_counter() < until:
        await bench.timed(case, bench.run("py", PRINT, session))
        count += 1
    return count
