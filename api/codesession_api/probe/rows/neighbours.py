"""Two sandboxes at one time, and two runs one after the other: neither finds anything of the other."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable

from codesession_api.probe.finding import Finding, broken, held, listed, none_of, untold
from codesession_api.probe.lab import Answer, Facts, Lab, NoFactsError, facts, program
from codesession_api.probe.suite import Probe

LISTENING_SECONDS = 6
SEARCHING_SECONDS = 3
PORT = 18473
RUNNERS_PORT = 8700
"""By which a sandbox of CodeSession tells its node that it is ready."""


class Own(Facts):
    address: str | None
    name: str


class There(Facts):
    """One that could be found."""

    seconds: float
    listened: bool
    peers: list[str]


class Traces(Facts):
    """What bears its mark."""

    files: list[str]
    processes: list[int]
    shared: list[str]
    sockets: list[str]
    reached: list[str]


class Neighbours(Facts):
    address: str | None
    there: There
    traces: Traces
    at_once: bool


class Left(Facts):
    files: list[str]
    process: int


class Leftovers(Facts):
    left: Left
    next_run: Traces
    """In a sandbox of its own."""
    same_session: Traces


class Tenants(Facts):
    """What another tenant gets by the ids of the first one's; None when there is but one."""

    got: dict[str, str] | None


async def neighbours(lab: Lab) -> Neighbours:
    here, other = await lab.session(), await lab.fresh(tenant=int(lab.has_two_tenants))
    own = await lab.looked(Own, "own")
    mark = _mark()
    listening = asyncio.create_task(
        lab.looked(There, "neighbour", mark, str(PORT), str(LISTENING_SECONDS), session=here)
    )
    addresses = json.dumps(
        [["127.0.0.1", PORT], *([own.address, port] for port in (PORT, RUNNERS_PORT) if own.address)]
    )
    searched = await lab.run(
        program("search"),
        mark,
        addresses,
        str(SEARCHING_SECONDS),
        session=other,
        tenant=int(lab.has_two_tenants),
    )
    searched_at = time.monotonic()
    there = await listening
    return Neighbours(
        address=own.address,
        there=there,
        traces=facts(Traces, searched),
        at_once=time.monotonic() - there.seconds < searched_at,
    )


async def leftovers(lab: Lab) -> Leftovers:
    mark = _mark()
    answer = await lab.run(program("leave"), mark)
    left = facts(Left, answer)
    # In this order, since a search takes away what it finds.
    next_run = await _traces(lab, mark, "")
    return Leftovers(left=left, next_run=next_run, same_session=await _traces(lab, mark, answer.session_id))


async def tenants(lab: Lab) -> Tenants:
    if not lab.has_two_tenants:
        return Tenants(got=None)
    mark = _mark()
    made = await lab.run(f"open({mark!r}, 'w').write({mark!r}); print(1)")
    stored = next((file for file in made.files if file.name == mark), None)
    if stored is None or not made.session_id:
        raise NoFactsError("a file that a run made is not in its answer")
    session, file = made.session_id, stored.id
    return Tenants(got=await _attempts(lab, mark, session, file))


async def _attempts(lab: Lab, mark: str, session: str, file: str) -> dict[str, str]:
    """By what was tried, how it ended: `none`, or what the other tenant got."""
    reference = {"id": file, "session_id": session, "name": mark}
    look = f"import os\nprint(os.path.exists({mark!r}))"
    by_reference = await lab.run(look, tenant=1, files=[reference])
    by_session = await lab.run(look, tenant=1, session=session)
    found = {"a run with its file": _saw(by_reference), "a run in its session": _saw(by_session)}
    if by_session.session_id == session:
        found["a run in its session"] = "that very session"
    for path in (
        f"/download/{session}/{file}",
        f"/files/{session}?detail=summary",
        f"/sessions/{session}/objects/{file}",
    ):
        reply = await lab.request("GET", path, tenant=1)
        got = mark.encode() in reply.body or file.encode() in reply.body
        found[f"GET {path.split('/')[1]}"] = f"{reply.status} and its content" if got else "none"
    ended = await lab.request("DELETE", f"/sessions/{session}", tenant=1)
    found["DELETE session"] = f"{ended.status}" if ended.status < 300 else "none"
    return found


def _saw(answer: Answer) -> str:
    return "none" if answer.stdout.strip() == "False" else f"its file ({answer.stdout.strip()[:20]})"


async def _traces(lab: Lab, mark: str, session: str) -> Traces:
    return facts(Traces, await lab.run(program("search"), mark, "[]", "0", session=session))


def _mark() -> str:
    """Whose last digits are a number for what has no name."""
    return f"codesession-probe-{secrets.token_hex(8)}"


def apart(what: str) -> Callable[[Neighbours], Finding]:
    def judge(seen: Neighbours) -> Finding:
        found = getattr(seen.traces, what)
        if found:
            return broken(f"the other one finds {listed(found)}")
        if not seen.at_once:
            return untold("the two were not there at one time")
        return held(f"{SEARCHING_SECONDS} s of looking, nothing")

    return judge


def unreached(seen: Neighbours) -> Finding:
    if seen.traces.reached or seen.there.peers:
        return broken(f"the other one reaches {listed(seen.traces.reached) or 'it'}")
    if not seen.there.listened:
        return untold("the first one could not listen")
    where = seen.address or "no address but its loopback's"
    return held(f"it listens at {where}, and nobody comes") if seen.at_once else apart("reached")(seen)


def left_to_next(seen: Leftovers) -> Finding:
    found = [*seen.next_run.files, *map(str, seen.next_run.processes), *seen.next_run.shared]
    return none_of(
        found, "the next run finds", f"{len(seen.left.files)} files, a process, shared memory: none stays"
    )


def left_running(seen: Leftovers) -> Finding:
    return none_of(seen.same_session.processes, "there is still process", "what a run starts ends with it")


def by_other_tenant(seen: Tenants) -> Finding:
    if seen.got is None:
        return untold("no second key was given (--other-key)")
    found = [f"{tried}: {got}" for tried, got in seen.got.items() if got != "none"]
    return none_of(found, "it gets by", f"{len(seen.got)} ways tried, none leads there")


PROBES = (
    Probe("S-1", "another session's files are not in a sandbox", neighbours, apart("files")),
    Probe("S-2", "another session's processes are not seen", neighbours, apart("processes")),
    Probe(
        "S-3",
        "another session's shared memory and sockets are not reached",
        neighbours,
        lambda seen: apart("shared")(seen) if seen.traces.shared else apart("sockets")(seen),
    ),
    Probe("S-4", "one sandbox does not reach another by the network", neighbours, unreached),
    Probe(
        "S-5", "another tenant gets nothing by the ids of a session and its file", tenants, by_other_tenant
    ),
    Probe("S-6", "nothing of a run is found by the next in a session of its own", leftovers, left_to_next),
    Probe("S-7", "what a run left running is gone for the next in the same session", leftovers, left_running),
)
