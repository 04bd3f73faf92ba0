"""Real runner processes, small ones, each on a socket of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from codesession_runner import frames

START_SECONDS = 120.0
_PROGRAM = """
import sys
sys.path.insert(0, {packages!r})
from codesession_runner import frames
frames.HEARTBEAT_SECONDS, frames.DEAD_AFTER_SECONDS = {heartbeat}, {dead_after}
from codesession_runner.__main__ import main
main()
"""


@dataclass(frozen=True, slots=True)
class RunnerAt:
    """A runner that takes connections."""

    pid: int
    workspace: Path
    socket: Path


@asynccontextmanager
async def runner(
    directory: Path,
    *,
    heartbeat: float = frames.HEARTBEAT_SECONDS,
    dead_after: float = frames.DEAD_AFTER_SECONDS,
) -> AsyncIterator[RunnerAt]:
    """One without preloaded modules. No setting shortens the heartbeat: what starts it here does."""
    program = _PROGRAM.format(
        packages=str(Path(frames.__file__).parents[1]), heartbeat=heartbeat, dead_after=dead_after
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", program, env=_environment(directory), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not (directory / "runner.sock").exists():
                if process.returncode is not None:
                    raise RuntimeError("the runner ended instead of starting")
                await asyncio.sleep(0.02)
        yield RunnerAt(process.pid, directory / "data", directory / "runner.sock")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _environment(directory: Path) -> dict[str, str]:
    directory.mkdir(parents=True)
    settings = {
        "WORKSPACE": directory / "data",
        "SOCKET": directory / "runner.sock",
        "READY_PORT": 0,
        "PRELOAD": "",
        "READY_CHILDREN": 1,
    }
    given = {f"CODESESSION_{name}": str(value) for name, value in settings.items()}
    return {"PATH": os.environ["PATH"]} | given
