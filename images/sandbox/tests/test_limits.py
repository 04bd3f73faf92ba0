"""The limits that settings put on a run, each reached from both sides."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from runner_testing import Client, RunnerProcess, connected, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEMORY = 256 * 2**20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tight_runner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunnerProcess]:
    limits = {
        "run_seconds": 2,
        "output_bytes": 1000,
        "file_bytes": 10_000,
        "files": 5,
        "memory_bytes": MEMORY,
        "languages": "py,cobol",
        "ready_children": 1,
    }
    async with running(tmp_path_factory.mktemp("tight"), **limits) as runner:
        yield runner


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tight(tight_runner: RunnerProcess) -> AsyncIterator[Client]:
    async with connected(tight_runner) as client:
        yield client


async def test_a_run_may_not_ask_for_more_time_than_there_is(tight: Client) -> None:
    answer = await tight.run("import time; time.sleep(60)", timeout_ms=60_000)
    assert answer.end["outcome"] == "timeout"
    assert 2000 <= answer.end["wall_ms"] < 10_000


async def test_time_is_told(tight: Client) -> None:
    answer = await tight.run("import time; time.sleep(0.1)\nwhile time.process_time() < 0.05: pass")
    assert answer.end["wall_ms"] >= 100
    assert 40 <= answer.end["cpu_ms"] < answer.end["wall_ms"]


@pytest.mark.parametrize(("size", "outcome"), [(1000, "exit"), (1001, "output_limit")])
async def test_output(tight: Client, size: int, outcome: str) -> None:
    answer = await tight.run(f"import os; os.write(1, bytes({size}))")
    assert (answer.end["outcome"], answer.end["truncated"]) == (outcome, size > 1000)
    assert len(answer.stdout) == 1000


async def test_memory(tight: Client) -> None:
    assert (await tight.run(f"bytearray({MEMORY // 2})")).end["outcome"] == "exit"
    answer = await tight.run(f"bytearray({MEMORY})")
    assert (answer.end["outcome"], answer.end["exit_code"]) == ("oom", 1)
    assert b"MemoryError" in answer.stderr


async def test_a_memory_error_that_is_handled_is_none(tight: Client) -> None:
    answer = await tight.run(f"try: bytearray({MEMORY})\nexcept MemoryError: print('handled')")
    assert (answer.end["outcome"], answer.stdout) == ("exit", b"handled\n")


async def test_size_of_a_file(tight: Client) -> None:
    answer = await tight.run("open('f', 'wb', 0).write(bytes(20_000)); open('f', 'ab', 0).write(b'x')")
    assert (answer.end["exit_code"], answer.records[0]["size"]) == (1, 10_000)
    assert b"File too large" in answer.stderr
    assert (await tight.request({"op": "put", "path": "p", "tag": ""}, bytes(10_000))).error is None
    assert (await tight.request({"op": "put", "path": "p", "tag": ""}, bytes(10_001))).error == "too_large"


async def test_number_of_files(tight: Client) -> None:
    answer = await tight.run("for n in range(7): open(f'n{n}', 'w')")
    assert [record["path"] for record in answer.records] == ["n0", "n1", "n2", "n3", "n4"]
    assert answer.end["files_dropped"] == 2


async def test_core_dumps_and_descriptors(tight: Client) -> None:
    answer = await tight.run(
        "from resource import *\nprint(getrlimit(RLIMIT_CORE), getrlimit(RLIMIT_NOFILE)[0] <= 4096)"
    )
    assert answer.stdout == b"(0, 0) True\n"


async def test_languages_are_those_that_are_set_and_known(tight: Client) -> None:
    assert tight.hello["languages"] == ["py"]
    assert (await tight.run("ls", lang="bash")).error == "unsupported_language"


async def test_one_child_ahead_serves_one_after_another(tight: Client) -> None:
    for _ in range(3):
        assert (await tight.run("print(1)")).stdout == b"1\n"
