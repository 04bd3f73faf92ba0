"""The table: for a terminal, for the docs, for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from e2e.conformance.judge import Verdict
from e2e.conformance.registry import Requirement

_TEXT_WIDTH = 74


def line(verdict: Verdict) -> str:
    """One row of a terminal's table; the reason, where there is one, on a second line."""
    entry = verdict.requirement
    text = entry.text if len(entry.text) <= _TEXT_WIDTH else f"{entry.text[: _TEXT_WIDTH - 1]}…"
    row = f"{entry.id:<13} {entry.section:<7} {text:<{_TEXT_WIDTH}} {verdict.result} ({verdict.seconds:g} s)"
    return f"{row}\n{'':>13} {verdict.why}" if verdict.why else row


def summary(verdicts: Sequence[Verdict], left_out: Sequence[Requirement]) -> str:
    """The counts, and what was not asked at all."""
    count = Counter(verdict.result for verdict in verdicts)
    text = ", ".join(f"{number} {result}" for result, number in sorted(count.items(), reverse=True))
    if left_out:
        text += f"; without credentials not asked: {', '.join(entry.id for entry in left_out)}"
    return text


def markdown(verdicts: Sequence[Verdict]) -> str:
    """The table of docs/conformance.md: versions for which a requirement ended alike are on one line."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for verdict in verdicts:
        entry = verdict.requirement
        number = entry.id.partition("/")[0]
        key = (number, entry.text, entry.section, verdict.result, verdict.why)
        alike.setdefault(key, []).append(entry.version)
    rows = ["| id | requirement | contract | client | result | why |", "|---|---|---|---|---|---|"]
    for (number, text, section, result, why), versions in sorted(alike.items()):
        cells = (number, text, section, ", ".join(versions), result, why)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def document(verdicts: Sequence[Verdict]) -> str:
    """JSON: a list with `id`, `requirement`, `section`, `result`, `why`, `seconds`."""
    entries = [
        {
            "id": verdict.requirement.id,
            "requirement": verdict.requirement.text,
            "section": verdict.requirement.section,
            "result": verdict.result,
            "why": verdict.why,
            "seconds": verdict.seconds,
        }
        for verdict in verdicts
    ]
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"
