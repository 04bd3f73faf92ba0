"""The table: for a terminal, and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from codesession_api.probe.suite import Verdict

_TEXT_WIDTH = 78


def line(verdict: Verdict) -> str:
    """One row of a terminal's table."""
    probe, finding = verdict.probe, verdict.finding
    return f"{probe.id:<4} {probe.text:<{_TEXT_WIDTH}} {finding.result}: {finding.observation}"


def summary(found: Sequence[Verdict]) -> str:
    """The counts, and the ids of what is not well."""
    count = Counter(verdict.result for verdict in found)
    text = ", ".join(
        f"{count[result]} {result}" for result in ("held", "broken", "cannot be told") if count[result]
    )
    broken = ", ".join(verdict.probe.id for verdict in found if verdict.result == "broken")
    unmade = ", ".join(verdict.probe.id for verdict in found if not verdict.ran)
    return text + (f"; broken: {broken}" if broken else "") + (f"; could not run: {unmade}" if unmade else "")


def document(found: Sequence[Verdict]) -> str:
    """JSON: a list with `id`, `must`, `result`, `observation`, `ran`, `seconds`."""
    entries = [
        {
            "id": verdict.probe.id,
            "must": verdict.probe.text,
            "result": verdict.result,
            "observation": verdict.finding.observation,
            "ran": verdict.ran,
            "seconds": verdict.seconds,
        }
        for verdict in found
    ]
    return json.dumps(entries, indent=2, ensure_ascii=False)
