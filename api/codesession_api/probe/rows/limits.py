"""Each limit is attacked once, for seconds, in a sandbox of its own which may be lost by it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from codesession_api.probe.finding import Finding, broken, held
from codesession_api.probe.lab import Facts, Lab, program
from codesession_api.probe.suite import Probe


class Attack(Facts):
    """How the run ended: `told` is what the program printed, whose end that is when it was not let finish."""

    told: str
    printed: int
    """Characters of its stdout."""
    status: str | None
    said: str
    """The end of its stderr."""
    seconds: float


_TOLD = 400
OUTPUT = 20_000_000
_ASKED_SECONDS = 2


def attack(name: str, milliseconds: int = 60_000) -> Callable[[Lab], Awaitable[Attack]]:
    """An experiment: that program of `limits.py`, in a sandbox of its own."""

    async def made(lab: Lab) -> Attack:
        begun = time.monotonic()
        answer = await lab.run(program("limits"), name, milliseconds=milliseconds)
        return Attack(
            told=answer.stdout[-_TOLD:],
            printed=len(answer.stdout),
            status=answer.status,
            said=answer.stderr[-_TOLD:],
            seconds=time.monotonic() - begun,
        )

    return made


def ended(unended: str) -> Callable[[Attack], Finding]:
    """A judge: broken when the program got to its end, which `unended` is a part of."""

    def judge(seen: Attack) -> Finding:
        if unended in seen.told:
            return broken(f"it was let: {seen.told}")
        return held(_end(seen))

    return judge


def output(seen: Attack) -> Finding:
    if seen.printed >= OUTPUT:
        return broken(f"{seen.printed} characters came")
    return held(f"{seen.printed} characters of {OUTPUT} came; {_end(seen)}")


def wall_time(seen: Attack) -> Finding:
    if "slept" in seen.told:
        return broken(f"asked to end it after {_ASKED_SECONDS} s, it was let sleep for 30")
    return held(
        f"asked to end it after {_ASKED_SECONDS} s, the answer came after {seen.seconds:.0f}; {_end(seen)}"
    )


def _end(seen: Attack) -> str:
    return (
        seen.told[:120] if seen.told.startswith("{") else f"{seen.status or 'no status'}: {seen.said[-160:]}"
    )


PROBES = (
    Probe("L-1", "memory is bounded (below 4 GiB)", attack("memory"), ended('"mib": 4096')),
    Probe("L-2", "processes are bounded (below 1000)", attack("processes"), ended('"processes": 1000')),
    Probe("L-3", "the size of a file is bounded (below 1 TiB)", attack("file"), ended('"why": null')),
    Probe("L-4", "output is bounded (below 20 MB)", attack("output"), output),
    Probe(
        "L-5",
        "wall time is bounded, also of what is deaf to SIGTERM",
        attack("seconds", 1000 * _ASKED_SECONDS),
        wall_time,
    ),
)
