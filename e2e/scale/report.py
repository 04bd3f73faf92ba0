"""Measurements into `build/bench-operator.json` and a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from e2e.bench.report import percentile

AT = 10_000
"""The number of sessions that the aims speak of."""
EMPTY_DIR, CLAIM = "EmptyDir", "PersistentVolumeClaim"
"""Where the files of sessions are."""


@dataclass(frozen=True)
class Step:
    """From one number of sessions to the next, and how it is there. Times in seconds, memory in MB."""

    sessions: int
    """At its end."""
    workspace: str
    """Of the sessions that were made."""
    created: int
    seconds: float
    """From the first creation to the last session Ready."""
    latencies: Sequence[float]
    """Of each new session, from creation to Ready, in the order of creation."""
    cpu: Mapping[str, float]
    """Processor time while the sessions were made, by program."""
    writes: Counter[str]
    """The operator's, by kind, while the sessions were made."""
    idle_seconds: float
    idle_writes: Counter[str]
    idle_cpu: float
    """The operator's, while nothing happened."""
    rss: Mapping[str, float]
    """The operator's before its restart: `now` and `peak`."""
    restart_seconds: float
    """From the start of a new process to nothing left to do."""
    restart_cpu: float
    restart_writes: Counter[str]
    restart_rss: Mapping[str, float]

    @property
    def rate(self) -> float:
        return self.created / self.seconds

    @property
    def operator_rate(self) -> float:
        """Sessions that the operator makes Ready in a second of processor time: what a core carries."""
        return self.created / self.cpu["operator"]

    def as_json(self) -> dict[str, Any]:
        return {
            **vars(self),
            "sessions_per_s": round(self.rate, 1),
            "sessions_per_operator_cpu_s": round(self.operator_rate, 1),
            "ready_p50_s": round(percentile(self.latencies, 50), 3),
            "ready_p99_s": round(percentile(self.latencies, 99), 3),
            "writes_per_session": round(self.writes.total() / self.created, 3),
            "latencies": [round(value, 3) for value in self.latencies],
        }


def as_json(steps: Sequence[Step], machine: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of the aims, of the step that they speak of or else the largest; then everything."""
    plain = [step for step in steps if step.workspace == EMPTY_DIR]
    named = next((step for step in plain if step.sessions == AT), plain[-1])
    return {
        "sessions": named.sessions,
        "sessions_per_s": round(named.rate, 1),
        "sessions_per_operator_cpu_s": round(named.operator_rate, 1),
        "rss_mb_at_10k": round(max(named.rss["now"], named.restart_rss["now"]), 1)
        if named.sessions == AT
        else None,
        "restart_settled_s": round(named.restart_seconds, 1),
        "writes_per_session": round(named.writes.total() / named.created, 3),
        "steady_writes_per_min": round(named.idle_writes.total() / named.idle_seconds * 60, 2),
        "machine": dict(machine),
        "steps": [step.as_json() for step in steps],
    }


def table(steps: Sequence[Step]) -> str:
    """As docs/scale.md has it."""
    programs = list(dict.fromkeys(name for step in steps for name in step.cpu))
    rows = [_figures(step) for step in steps]
    used = [_used(step, programs) for step in steps]
    return "\n".join([*_rows(_FIGURES, rows), "", *_rows(("sessions", *programs), used)])


_FIGURES = (
    "sessions",
    "made",
    "made a second",
    "a second of the operator's CPU",
    "create to Ready p50, s",
    "p99, s",
    "writes a session",
    "writes a minute, idle",
    "memory, MB",
    "after restart, MB",
    "settled after, s",
    "by CPU, s",
)


def _figures(step: Step) -> list[str]:
    made = f"{step.created}" if step.workspace == EMPTY_DIR else f"{step.created} with volumes"
    figures = (
        step.rate,
        step.operator_rate,
        percentile(step.latencies, 50),
        percentile(step.latencies, 99),
        step.writes.total() / step.created,
        step.idle_writes.total() / step.idle_seconds * 60,
        step.rss["now"],
        step.restart_rss["now"],
        step.restart_seconds,
        step.restart_cpu,
    )
    return [f"{step.sessions}", made, *(f"{figure:.1f}" for figure in figures)]


def _used(step: Step, programs: Sequence[str]) -> list[str]:
    """Milliseconds of processor time for each new session."""
    used = (step.cpu.get(name, 0) / step.created * 1000 for name in programs)
    return [f"{step.sessions}", *(f"{milliseconds:.1f}" for milliseconds in used)]


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
