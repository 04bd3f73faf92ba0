"""The time of a run: of each round by itself, and of all that it waited."""

from __future__ import annotations

import asyncio

import pytest

from codesession_runner.clock import Clock
from codesession_runner.run import Outcome


@pytest.mark.parametrize(
    ("steps", "verdicts"),
    [
        ("start 0.05", [Outcome.TIMEOUT]),
        ("start pause 0.05", []),
        ("start pause 0.15", [Outcome.CANCELLED]),
        ("start pause 0.06 resume pause 0.06", [Outcome.CANCELLED]),
        ("start 0.02 pause resume 0.02 pause resume 0.02 stop 0.05", []),
        ("start pause 0.05 resume 0.05", [Outcome.TIMEOUT]),
        ("pause resume 0.05", []),
        ("start stop resume pause 0.15", []),
    ],
)
async def test_when_the_time_is_up(steps: str, verdicts: list[Outcome]) -> None:
    """In units of 5 s: a run takes 0.03 at a time, and waits 0.1 at the most."""
    found: list[Outcome] = []
    clock = Clock(5 * 0.03, found.append, waiting=5 * 0.1)
    for step in steps.split():
        if step[0].isdigit():
            await asyncio.sleep(5 * float(step))
        else:
            getattr(clock, step)()
    clock.stop()
    assert found == verdicts


async def test_what_a_run_waits_is_no_part_of_what_it_took() -> None:
    clock = Clock(10, lambda verdict: None)
    clock.start()
    clock.pause()
    await asyncio.sleep(0.1)
    clock.resume()
    assert clock.stop() < 0.05
