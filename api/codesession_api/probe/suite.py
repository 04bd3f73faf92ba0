"""All probes, and one way through them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from codesession_api.probe.finding import Finding, Result, shown, untold
from codesession_api.probe.lab import Facts, Lab, NoFactsError

Seen = TypeVar("Seen", bound=Facts)
Experiment = Callable[[Lab], Awaitable[Seen]]


@dataclass(frozen=True, slots=True)
class Probe(Generic[Seen]):
    """`text` is what must be true; `judge` is pure, and says it of what `experiment` saw."""

    id: str
    text: str
    experiment: Experiment[Seen]
    judge: Callable[[Seen], Finding]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`ran` is false when an experiment gave no facts, which is no word about the installation."""

    probe: Probe[Any]
    finding: Finding
    seconds: float
    ran: bool = True

    @property
    def result(self) -> Result:
        return self.finding.result


async def verdicts(lab: Lab, probes: Sequence[Probe[Any]]) -> AsyncIterator[Verdict]:
    """In their order; probes with an experiment in common have it made once."""
    seen: dict[Experiment[Any], Facts | NoFactsError] = {}
    for probe in probes:
        begun = time.monotonic()
        if probe.experiment not in seen:
            seen[probe.experiment] = await _made(lab, probe.experiment)
        facts = seen[probe.experiment]
        seconds = round(time.monotonic() - begun, 1)
        if isinstance(facts, NoFactsError):
            yield Verdict(probe, untold(shown(str(facts))), seconds, ran=False)
        else:
            yield Verdict(probe, judged(probe, facts), seconds)


def judged(probe: Probe[Seen], facts: Seen) -> Finding:
    """With an observation that can be shown."""
    found = probe.judge(facts)
    return Finding(found.result, shown(found.observation))


def status(found: Sequence[Verdict]) -> int:
    """0 when nothing is broken and every experiment could be made, 1 when something is broken, else 2."""
    if any(verdict.result == "broken" for verdict in found):
        return 1
    return 0 if found and all(verdict.ran for verdict in found) else 2


async def _made(lab: Lab, experiment: Experiment[Any]) -> Facts | NoFactsError:
    try:
        facts: Facts = await experiment(lab)
    except NoFactsError as error:
        return error
    finally:
        await lab.tidy()
    return facts
