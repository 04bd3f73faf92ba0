"""Memory of a run as a whole: what takes too much is ended, and said to be out of memory."""

from __future__ import annotations

import asyncio
import mmap
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from codesession_runner.languages import says_out_of_memory
from codesession_runner.memory import kernel_memory, of_processes, pause
from runner_testing import Client, connected, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
MIB = 1 << 20
LIMIT = 256 * MIB


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tight(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """/dev/shm of its own is written into memory, and counts."""
    mounts = 'mount -t tmpfs -o size=1g none /dev/shm && exec "$@"'
    settings = {
        "memory_bytes": LIMIT,
        "memory_directories": "/dev/shm",
        "file_bytes": 1 << 30,
        "languages": "py,bash,c,js,java",
        "ready_children": 1,
        "prefix": (*NAMESPACE, "sh", "-c", mounts, "sh"),
    }
    async with (
        running(tmp_path_factory.mktemp("tight"), **settings) as runner,
        connected(runner) as client,
    ):
        yield client


TOGETHER = """
import os, time
for _ in range(4):
    if not os.fork():
        os.setsid()
        kept = bytearray(100 << 20)
        time.sleep(60)
time.sleep(60)
"""
SHARED = """
import mmap, time
kept = mmap.mmap(-1, 400 << 20)
for n in range(100): kept[n << 22:(n + 1) << 22] = bytes(1 << 22)
time.sleep(60)
"""
FILES = """
import time
for n in range(100): open(f"/dev/shm/{n}", "wb").write(bytes(1 << 22))
time.sleep(60)
"""
PYTHON_OF_BASH = """
trap 'rm -f /dev/shm/x' EXIT
python3 -c '
kept = []
while True: kept.append(bytes(1 << 20) + b"x")
'
"""


@pytest.mark.parametrize(
    ("lang", "code"),
    [("py", TOGETHER), ("py", SHARED), ("bash", PYTHON_OF_BASH), ("bash", "head -c 1G /dev/zero | tail")],
    ids=["processes together", "a shared mapping", "a Python that bash starts", "a pipeline"],
)
async def test_a_run_that_takes_too_much_is_out_of_memory(tight: Client, lang: str, code: str) -> None:
    answer = await tight.run(code, lang=lang, timeout_ms=20_000)
    assert answer.end["outcome"] == "oom", answer
    assert answer.end["wall_ms"] < 10_000
    assert (await tight.run("print(1)")).stdout == b"1\n"


async def test_files_in_memory_count(tight: Client) -> None:
    answer = await tight.run(FILES, timeout_ms=20_000)
    assert (answer.end["outcome"], answer.end["signal"]) == ("oom", signal.SIGKILL)
    said = b"killed: out of memory: a run may have %d bytes, and this one has " % LIMIT
    assert answer.stderr.startswith(said)
    assert LIMIT < int(answer.stderr.splitlines()[0].split()[-1]) < 2 * LIMIT
    assert b"/dev/shm took too much memory and are deleted" in answer.stderr
    assert (
        await tight.run("ls /dev/shm; echo x > /dev/shm/x && cat /dev/shm/x", lang="bash")
    ).stdout == b"x\n"


async def test_what_processes_share_since_a_fork_counts_once(tight: Client) -> None:
    code = (
        "import os, time\n"
        f"kept = bytearray(os.urandom(1 << 20)) * {LIMIT // MIB * 3 // 5}\n"
        "for _ in range(4):\n"
        "    if not os.fork(): time.sleep(1); os._exit(0)\n"
        "time.sleep(1.2)\n"
        "print('fine')\n"
    )
    assert (await tight.run(code)).stdout == b"fine\n"


async def test_a_live_interpreter_that_takes_too_much_is_lost_aloud(tight: Client) -> None:
    assert (await tight.run("x = 1", live=True)).end["exit_code"] == 0
    answer = await tight.run(SHARED, live=True, timeout_ms=20_000)
    assert answer.end["outcome"] == "oom"
    assert b"variables of this session are lost" in answer.stderr
    assert b"NameError" in (await tight.run("x", live=True)).stderr


IN_OTHER_LANGUAGES = {
    "c": (
        "#include <stdlib.h>\n#include <string.h>\n"
        "int main() { for (;;) { char *p = malloc(1 << 20); memset(p, 1, 1 << 20); } }"
    ),
    "js": "const kept = []; for (;;) kept.push(Buffer.alloc(1 << 20, 1))",
    "java": (
        "import java.util.*; public class Main { public static void main(String[] a) {"
        " List<byte[]> kept = new ArrayList<>(); for (;;) kept.add(new byte[1 << 20]); } }"
    ),
}


@pytest.mark.parametrize("lang", IN_OTHER_LANGUAGES)
async def test_a_program_of_another_language_is_out_of_memory_too(roomy: Client, lang: str) -> None:
    if lang not in roomy.hello["languages"]:
        pytest.skip(f"{lang}: this machine has no compiler or interpreter for it")
    answer = await roomy.run(IN_OTHER_LANGUAGES[lang], lang=lang, timeout_ms=60_000)
    assert answer.end["outcome"] == "oom", answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def roomy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """Compilers need more than the least."""
    settings = {"memory_bytes": 2 * LIMIT, "languages": "c,js,java", "ready_children": 1}
    directory = tmp_path_factory.mktemp("roomy")
    async with running(directory, **settings) as runner, connected(runner) as client:
        yield client


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n at 0x1", True),
        (b'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space', True),
        (b"PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to", True),
        (b"terminate called after throwing an instance of 'std::bad_alloc'", True),
        (b"memory allocation of 4398046511104 bytes failed", True),
        (b"fatal error: runtime: out of memory\n\nruntime stack:", True),
        (b"fatal error: runtime: cannot allocate memory", True),
        (b"Error: cannot allocate vector of size 7450.6 Gb", True),
        (b"core.exception.OutOfMemoryError@core/lifetime.d(126): Memory allocation failed", True),
        (b"tail: memory exhausted", True),
        (b"Traceback (most recent call last):\nMemoryError", True),
        (b"", False),
        (b"no such file: memory.txt", False),
        (b"java.lang.OutOfMemoryError" + b"x" * 9000, False),
    ],
)
async def test_last_words(said: bytes, expected: bool) -> None:
    assert says_out_of_memory(said) is expected


@pytest.mark.parametrize(
    ("left", "took", "expected"),
    [
        (1 << 40, 0.0001, 0.25),
        (200 * MIB, 0.0001, 0.098),
        (1 * MIB, 0.0001, 0.002),
        (-1, 0.0001, 0.002),
        (1 * MIB, 0.01, 0.1),
    ],
)
async def test_looks_are_rare_far_from_the_limit(left: int, took: float, expected: float) -> None:
    assert pause(left, took) == pytest.approx(expected, rel=0.01)


async def test_memory_of_a_kernel() -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    def grows() -> bool:
        before = kernel_memory()
        with mmap.mmap(-1, 256 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_POPULATE):
            return before < kernel_memory() < total

    assert any(grows() for _ in range(20))  # on a machine that does other things too


async def test_memory_of_processes() -> None:
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    own = of_processes([os.getpid()], enough=1 << 40)
    assert 5 * MIB < own < 1 << 40
    assert 0 < of_processes([os.getpid(), gone.pid], enough=0) <= own
