"""Prints what the streams of many sessions cost the one replica that holds them, and their runners:

    .venv/bin/python api/crowd.py [RUNNERS [STREAMS OF EACH [IDLE SECONDS]]]

Runners are real processes on sockets, as small as they can be; there is no exec and no gVisor in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codesession_api.ports import RunSpec
from codesession_api.sandboxes.connection import Connection
from codesession_api.sandboxes.session import Limits, Session
from codesession_api.sandboxes.transport import open_unix
from runners import RunnerAt, runner

LIMITS = Limits(run_seconds=120, output_bytes=1000, file_bytes=1000, files=1)
_STARTS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Usage:
    """Of this process: what it holds now. Memory in bytes."""

    memory: int
    descriptors: int
    tasks: int

    @classmethod
    def now(cls) -> Usage:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        return cls(pages * resource.getpagesize(), descriptors, len(asyncio.all_tasks()))


@dataclass(frozen=True, slots=True)
class Figures:
    streams: int
    before: Usage
    held: Usage
    after: Usage
    answered: int
    """Runs, one on each stream and all at one time, that gave their own output."""
    answer_seconds: float
    idle_cpu: float
    """Processor seconds of this process per second, all streams idle."""
    runners_idle_cpu: float
    """The same of all runners."""


async def measure(directory: Path, runners: int, streams: int, idle: float) -> Figures:
    """`streams` to each of so many runners, idle for so many seconds."""
    async with contextlib.AsyncExitStack() as stack:
        slots = asyncio.Semaphore(_STARTS_AT_ONCE)

        async def start(number: int) -> RunnerAt:
            async with slots:
                return await stack.enter_async_context(runner(directory / str(number)))

        at = await asyncio.gather(*map(start, range(runners)))
        before = Usage.now()
        held = await asyncio.gather(*(_open(one) for one in at for _ in range(streams)))
        try:
            return await _measured(at, held, before, idle)
        finally:
            await asyncio.gather(*(connection.aclose() for connection in held))


async def _measured(
    runners: Sequence[RunnerAt], held: Sequence[Connection], before: Usage, idle: float
) -> Figures:
    begun = time.monotonic()
    answers = await asyncio.gather(*(_run(number, one) for number, one in enumerate(held)))
    answered, usage = time.monotonic() - begun, Usage.now()
    cpu, others, begun = time.process_time(), _cpu(runners), time.monotonic()
    await asyncio.sleep(idle)
    elapsed = time.monotonic() - begun
    idle_cpu = (time.process_time() - cpu) / elapsed
    others_cpu = (_cpu(runners) - others) / elapsed
    await asyncio.gather(*(connection.aclose() for connection in held))
    return Figures(len(held), before, usage, Usage.now(), sum(answers), answered, idle_cpu, others_cpu)


async def _open(runner: RunnerAt) -> Connection:
    return await Connection.open(await open_unix(str(runner.socket)), timeout=120)


async def _run(number: int, connection: Connection) -> bool:
    """Whether a run gives what it should."""

    class Held:
        async def connect(self) -> Connection:
            return connection

    result = await Session("s" * 21, Held(), LIMITS).run(RunSpec(f"run-{number}", "bash", f"echo {number}"))
    return result.stdout == f"{number}\n".encode()


def _cpu(runners: Sequence[RunnerAt]) -> float:
    """Processor seconds of the runners so far."""
    ticks = 0
    for one in runners:
        fields = Path(f"/proc/{one.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def main(runners: int = 200, streams: int = 1, idle: float = 60.0) -> None:
    with tempfile.TemporaryDirectory() as directory:
        found = await measure(Path(directory), runners, streams, idle)
    sys.stdout.write("".join(f"{line}\n" for line in report(found, runners, idle)))


def report(found: Figures, runners: int, idle: float) -> list[str]:
    """The figures in words."""
    before, held, after, streams = found.before, found.held, found.after, found.streams
    memory, left = (held.memory - before.memory) / streams / 1024, (after.memory - before.memory) / 1024
    descriptors, open_still = held.descriptors - before.descriptors, after.descriptors - before.descriptors
    return [
        f"{streams} streams to {runners} runners",
        f"a run on each at one time: {found.answered} answered, within {found.answer_seconds:.1f} s",
        f"memory: {memory:.0f} KiB a stream; after closing {left:.0f} KiB more than before in all",
        f"descriptors: {descriptors / streams:.2f} a stream; {open_still} left after closing",
        f"tasks: {held.tasks - before.tasks}; {after.tasks - before.tasks} left after closing",
        f"idle for {idle:g} s: {found.idle_cpu:.2%} of a core here",
        f"and {found.runners_idle_cpu:.2%} of all runners",
    ]


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
