"""What a judge can say, and how what a sandbox said is shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Result = Literal["held", "broken", "cannot be told"]

_SHOWN = 240
_LISTED = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """`observation` is one line: what was seen, or why nothing can be told."""

    result: Result
    observation: str


def held(observation: str) -> Finding:
    return Finding("held", observation)


def broken(observation: str) -> Finding:
    return Finding("broken", observation)


def untold(why: str) -> Finding:
    return Finding("cannot be told", why)


def none_of(found: Iterable[object], otherwise: str, well: str) -> Finding:
    """Broken by anything that was found: `otherwise` goes before it."""
    named = listed(found)
    return broken(f"{otherwise} {named}") if named else held(well)


def listed(values: Iterable[object]) -> str:
    """A few of them, and how many more there are."""
    every = [str(value) for value in values]
    more = f" and {len(every) - _LISTED} more" if len(every) > _LISTED else ""
    return ", ".join(every[:_LISTED]) + more


def shown(text: str) -> str:
    """On one line, bounded, and with nothing that moves a terminal's cursor."""
    line = " ".join(text.split())
    safe = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in line[: _SHOWN + 1])
    return safe if len(line) <= _SHOWN else f"{safe[:_SHOWN]}…"
