"""The size of the workspace, where its volume has none."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from codesession_runner.room import taken
from runner_testing import Client, connected, running

LIMIT = 4 << 20
FILL = (
    "import os, time\n"
    "os.makedirs('__pycache__', exist_ok=True)\n"
    "open('__pycache__/{0}', 'wb').write(bytes({1}))\n"
)


@pytest_asyncio.fixture
async def cramped(tmp_path: Path) -> AsyncIterator[Client]:
    async with running(tmp_path, workspace_bytes=LIMIT) as runner, connected(runner) as client:
        yield client


@pytest.mark.asyncio
async def test_a_run_that_fills_the_workspace_is_ended(cramped: Client) -> None:
    """Also where no look for outputs goes."""
    answer = await cramped.run(FILL.format("a", 2 * LIMIT) + "time.sleep(60)")
    assert (answer.end["outcome"], answer.end["signal"]) == ("signal", 9)
    assert answer.stderr.startswith(b"killed: the workspace is full: it may have 4194304 bytes, and has 83")


@pytest.mark.asyncio
async def test_a_full_workspace_can_be_emptied_and_not_written_to(cramped: Client) -> None:
    await cramped.run(FILL.format("a", LIMIT))
    await cramped.run(FILL.format("b", 100_000))
    for _ in range(3):  # too short for a look
        answer = await cramped.run("open('c', 'wb', 0).write(b'x')")
        assert b"the workspace is full" in answer.stderr
        assert b"File too large" in answer.stderr
    answer = await cramped.run("import os, time; time.sleep(0.6); os.unlink('__pycache__/a'); print('done')")
    assert (answer.end["outcome"], answer.stdout) == ("exit", b"done\n")
    answer = await cramped.run("open('c', 'wb').write(b'x')")
    assert (answer.end["exit_code"], answer.stderr) == (0, b"")


def test_a_path_too_long_to_look_at_is_full(tmp_path: Path) -> None:
    hidden = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=hidden)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=hidden)
        os.close(hidden)
        hidden = below
    os.close(hidden)
    assert taken(str(tmp_path), 1 << 20) > 1 << 20


def test_what_is_taken(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(50):
        deep /= "d"
        deep.mkdir()
    (deep / "file").write_bytes(bytes(100_000))
    with (tmp_path / "hole").open("wb") as hole:
        hole.truncate(1 << 30)
    (tmp_path / "link").symlink_to("/")
    assert 100_000 <= taken(str(tmp_path), 1 << 30) < 500_000
    assert taken(str(tmp_path), 10_000) < 100_000 + 2 * 10_000 + 50 * 4096
