"""What came of it: numbers, and what was not as it should be. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MOST_GROWTH_MB = 16.0
"""Of a process's memory over the second half of its samples: caches and arenas are full by then."""
MOST_DESCRIPTORS = 12
"""More than before the load when all is over: a watch or a connection to the store may be dialled anew."""


@dataclass(frozen=True, slots=True)
class Sample:
    seconds: float
    process: str
    """The component and its pod; a pod that was killed is another process."""
    memory_mb: float
    descriptors: int
    streams: int = 0


@dataclass(slots=True)
class Record:
    """What happens is written down here as it does."""

    seed: int
    minutes: float
    right: Counter[str] = field(default_factory=Counter)
    """Calls by kind."""
    told: Counter[str] = field(default_factory=Counter)
    """Calls by kind and by how they were refused."""
    wrong: list[str] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    replicas_killed: list[float] = field(default_factory=list)
    """When, on the monotonic clock."""
    samples: list[Sample] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    settled_seconds: float | None = None
    """From the last kill until only the warm pool was left."""

    def line(self, seconds: float) -> str:
        latest = {one.process: one for one in self.samples}
        memory = ", ".join(f"{name} {one.memory_mb:.0f} MB" for name, one in sorted(latest.items())[-3:])
        return (
            f"{seconds:5.0f} s: {self.right.total()} right, {self.told.total()} told, "
            f"{len(self.wrong)} wrong; {self.kills.total()} kills; {memory}"
        )

    def faults(self) -> list[str]:
        """Empty when all was well."""
        idle = [kind for kind in ("live", "fresh", "files", "program") if not self.right[kind]]
        return [
            *self.wrong,
            *self.leaks,
            *grown(self.samples),
            *(f"no call was served: {kind}" for kind in idle),
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "minutes": self.minutes,
            "right": dict(self.right),
            "told": dict(self.told),
            "kills": dict(self.kills),
            "settled_seconds": self.settled_seconds,
            "faults": self.faults(),
            "samples": [
                [round(one.seconds, 1), one.process, round(one.memory_mb, 1), one.descriptors, one.streams]
                for one in self.samples
            ],
        }


def growth(values: Sequence[float]) -> float:
    """Of the last quarter's median over that of the quarter before; 0 where there are too few to say."""
    quarter = len(values) // 4
    if quarter < 2:
        return 0.0
    return statistics.median(values[-quarter:]) - statistics.median(values[-2 * quarter : -quarter])


def grown(samples: Sequence[Sample]) -> list[str]:
    """The processes whose memory goes on growing."""
    found = []
    for process in sorted({one.process for one in samples}):
        more = growth([one.memory_mb for one in samples if one.process == process])
        if more > MOST_GROWTH_MB:
            found.append(f"the memory of {process} grew by {more:.0f} MB in the second half")
    return found
