"""Prints what a run costs on a runner of this machine, without a network: `python tests/measure.py`.

The program to wrap the runner in may be given, e.g. `python tests/measure.py runsc --network=none do`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

from runner_testing import Client, connected, running

RUNS = 100
PAUSE = 0.05
PROGRAMS = {
    "print": ("py", "print(1)"),
    "live": ("py", "print(1)"),
    "bash": ("bash", "echo 1"),
    "pandas": ("py", "import pandas as pd; print(pd.DataFrame({'a': range(100)}).describe())"),
}


async def measure(client: Client, lang: str, code: str, pause: float, *, live: bool) -> list[float]:
    """Milliseconds from request to END, of each run."""
    times = []
    for _ in range(RUNS):
        await asyncio.sleep(pause)
        began = time.perf_counter()
        answer = await client.run(code, lang=lang, live=live)
        times.append((time.perf_counter() - began) * 1000)
        if answer.end["exit_code"] != 0:
            raise SystemExit(answer.stderr.decode())
    return times


async def main(*prefix: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        preload = "numpy,pandas,matplotlib.pyplot"
        options = {"stdio": True, "prefix": prefix, "preload": preload}
        async with running(Path(directory), **options) as runner, connected(runner) as client:
            for name, (lang, code) in PROGRAMS.items():
                for label, pause in (("with pauses", PAUSE), ("back to back", 0.0)):
                    times = await measure(client, lang, code, pause, live=name == "live")
                    p50, p99 = quantiles(times, n=100)[49], quantiles(times, n=100)[98]
                    print(f"{name:8}{label:14}p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
