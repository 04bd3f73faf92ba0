"""What no sandbox gets below: the wake-ups and the HTTP that each run is made of.

A run is handed on by some fourteen processes, five times inside the sandbox. What one hand-over takes is
measured by two processes that send each other a byte, in the sandbox and on the bench's own machine.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

from e2e.bench.cases import PAUSE, Bench

ROUNDS = 100

WAKE_UPS = f"""
import json, os, statistics, time

def hand_over(rounds, pause):
    "Milliseconds from one process to another and back, halved."
    there, back = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.close(there[1])
        while os.read(there[0], 1):
            os.write(back[1], b"x")
        os._exit(0)
    took = []
    for _ in range(rounds):
        time.sleep(pause)
        began = time.perf_counter()
        os.write(there[1], b"x")
        os.read(back[0], 1)
        took.append((time.perf_counter() - began) * 500)
    os.close(there[1])
    os.waitpid(child, 0)
    return round(statistics.median(took), 4)

print(json.dumps({{"busy": hand_over({ROUNDS}, 0), "paused": hand_over({ROUNDS}, {PAUSE})}}))
"""


async def measure(bench: Bench, session: str, rounds: int) -> dict[str, float]:
    """Milliseconds, medians; `http_livez` becomes a case of the bench."""
    for _ in range(rounds):
        await asyncio.sleep(PAUSE)
        await bench.timed("http_livez", bench.livez())
    inside = json.loads((await bench.run("py", WAKE_UPS, session))["stdout"])
    outside = await asyncio.to_thread(_outside)
    found = {"sandbox": inside, "machine": outside}
    return {f"hand_over_{place}_{when}": took for place, one in found.items() for when, took in one.items()}


def _outside() -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", WAKE_UPS], capture_output=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found
