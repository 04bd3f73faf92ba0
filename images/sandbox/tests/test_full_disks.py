"""A workspace or a /tmp that is full: refused in words, and served again once there is room."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from runner_testing import Client, connected, running

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


def _available() -> bool:
    try:
        mount = [*NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"]
        return subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(
    not _available(), reason="no file system can be mounted here (unshare --mount)"
)


@pytest_asyncio.fixture
async def cramped(tmp_path: Path) -> AsyncIterator[Client]:
    """A client of a runner whose workspace and temporary directory are one file system of 256 KiB."""
    data = tmp_path / "data"
    data.mkdir()
    mounts = f'mount -t tmpfs -o size=256k none {data} && TMPDIR={data} exec "$@"'
    async with (
        running(tmp_path, stdio=True, prefix=(*NAMESPACE, "sh", "-c", mounts, "sh")) as runner,
        connected(runner) as client,
    ):
        yield client


async def test_no_space(cramped: Client) -> None:
    assert (await cramped.request({"op": "put", "path": "f", "tag": ""}, bytes(300_000))).error == "no_space"
    assert (await cramped.request({"op": "list"})).records == []
    full = await cramped.run("open('f', 'wb').write(bytes(300_000))")
    assert b"No space left" in full.stderr
    large = "#" * 20_000 + "\nprint(1)"
    assert (await cramped.run(large)).error == "no_space"
    await cramped.run("import os; os.unlink('f')")
    assert (await cramped.run(large)).stdout == b"1\n"
