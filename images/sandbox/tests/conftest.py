from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from runner_testing import Client, RunnerProcess, connected, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_runner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunnerProcess]:
    """A runner for the tests of a module that leave it as they found it."""
    async with running(tmp_path_factory.mktemp("runner")) as runner:
        yield runner


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(shared_runner: RunnerProcess) -> AsyncIterator[Client]:
    async with connected(shared_runner) as client:
        yield client


@pytest_asyncio.fixture
async def runner(tmp_path: Path) -> AsyncIterator[RunnerProcess]:
    """A runner of the test's own."""
    async with running(tmp_path) as process:
        yield process


@pytest_asyncio.fixture
async def client(runner: RunnerProcess) -> AsyncIterator[Client]:
    async with connected(runner) as connection:
        yield connection
