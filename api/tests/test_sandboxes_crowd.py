"""The streams of 200 sessions on one replica: all answer, idle ones cost next to nothing, none leaks."""

from __future__ import annotations

from pathlib import Path

from codesession_runner.server import MAX_CONNECTIONS
from crowd import measure

RUNNERS = 13
IDLE_SECONDS = 3.0


async def test_two_hundred_streams(tmp_path: Path) -> None:
    """To few runners, with as many connections each as they take: to one replica they are as many sessions.
    `crowd.py` measures it with a runner for each."""
    found = await measure(tmp_path, RUNNERS, MAX_CONNECTIONS, IDLE_SECONDS)
    assert found.answered == found.streams == 208
    assert found.held.descriptors - found.before.descriptors == found.streams
    assert (found.held.memory - found.before.memory) / found.streams < 256 * 1024
    assert found.idle_cpu < 0.05
    assert found.after.descriptors == found.before.descriptors
    assert found.after.tasks == found.before.tasks
