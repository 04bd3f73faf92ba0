"""The process that runs the code shares its user, and is closed to it all the same."""

from __future__ import annotations

from codesession_api.probe.finding import Finding, held, none_of
from codesession_api.probe.lab import Facts, Lab
from codesession_api.probe.suite import Probe


class Runner(Facts):
    """Of the processes that code did not start: those that it could get at, by their numbers."""

    others: int
    traced: list[int]
    memory: list[int]
    descriptors: list[int]
    sockets: dict[str, str]
    """By path or abstract name: greeted, open, closed, or the name of an error."""


async def runner(lab: Lab) -> Runner:
    return await lab.looked(Runner, "runner")


def memory(facts: Runner) -> Finding:
    return none_of(facts.memory, "it may read that of process", f"{facts.others} processes, all closed")


def tracing(facts: Runner) -> Finding:
    return none_of(facts.traced, "it may trace process", f"{facts.others} processes, none to be traced")


def descriptors(facts: Runner) -> Finding:
    return none_of(facts.descriptors, "it may open those of process", f"{facts.others} processes, all closed")


def sockets(facts: Runner) -> Finding:
    if not facts.sockets:
        return held("there is none")
    greeted = [f"{path} ({said})" for path, said in facts.sockets.items() if said in ("greeted", "open")]
    return none_of(greeted, "it is served by", f"{len(facts.sockets)} sockets, none serves it")


PROBES = (
    Probe("R-1", "the memory of the runner's processes cannot be read", runner, memory),
    Probe("R-2", "they cannot be traced", runner, tracing),
    Probe(
        "R-3", "their open files, the stream to the API among them, cannot be reached", runner, descriptors
    ),
    Probe("R-4", "neither the runner's socket nor any other serves it", runner, sockets),
)
