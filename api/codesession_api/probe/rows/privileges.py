"""Who the code is, which kernel it has, and what that lets it do."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from pydantic import BaseModel, ConfigDict, Field

from codesession_api.probe.finding import Finding, broken, held, listed, none_of, untold
from codesession_api.probe.lab import Facts, Lab, NoFactsError
from codesession_api.probe.suite import Probe


class Seen(Facts):
    """What the program tells."""

    gvisor: bool
    """Whether the kernel's log is one of gVisor's."""
    log_bytes: int | None
    """Of the kernel's log, when that may be read."""
    version: str
    ids: list[int] = Field(min_length=6, max_length=6)
    """User and then group: real, effective, saved."""
    groups: list[int]
    capabilities: dict[str, str]
    no_new_privs: int
    seccomp: int
    attempts: dict[str, str]
    """`done`, or the name of the error."""
    host_name: str
    time: float
    zone: str
    processes: int
    is_own_namespace: bool


class Privileges(Facts):
    """That, with what the API and another sandbox said, and when."""

    seen: Seen
    isolation: str | None
    session: str
    other_name: str
    clock: float
    """This machine's, at the same time."""


class Own(Facts):
    address: str | None
    name: str


class _Health(BaseModel):
    model_config = ConfigDict(extra="ignore")

    isolation: str | None = Field(None, max_length=64)


async def privileges(lab: Lab) -> Privileges:
    isolation = await _isolation(lab)
    session = await lab.session()
    seen = await lab.looked(Seen, "privileges")
    clock = time.time()
    other = await lab.looked(Own, "own", session=await lab.fresh())
    return Privileges(seen=seen, isolation=isolation, session=session, other_name=other.name, clock=clock)


async def _isolation(lab: Lab) -> str | None:
    """None of a server that does not tell."""
    try:
        return (await lab.request("GET", "/health")).read(_Health).isolation
    except NoFactsError:
        return None


REFUSALS = {
    "EPERM",
    "EACCES",
    "ENOSYS",
    "EOPNOTSUPP",
    "ENOTSUP",
    "ENODEV",
    "ENOSPC",
    "EUSERS",
    "ENOENT",
    "died",
}
"""Any other error says that the kernel had begun to do what was asked."""
ROOTS = ("mount", "chroot", "pivot_root", "unshare mount", "setns", "mknod", "setuid")
MACHINES = (
    "bpf",
    "init_module",
    "finit_module",
    "kexec_load",
    "reboot",
    "swapon",
    "adjtimex",
    "sethostname",
)
SURFACE = ("unshare user", "io_uring_setup", "perf_event_open", "userfaultfd", "keyctl")


def isolation(facts: Privileges) -> Finding:
    kernel = f"the kernel is {'gVisor' if facts.seen.gvisor else f'Linux {facts.seen.version}'}"
    match facts.isolation:
        case None:
            return untold(f"/health does not tell the isolation; {kernel}")
        case "none":
            return broken(f"/health says that there is none; {kernel}")
        case "gvisor" if not facts.seen.gvisor:
            return broken(f"/health says gvisor, but {kernel}")
        case "bubblewrap" if facts.seen.gvisor or not facts.seen.is_own_namespace:
            return broken(f"/health says bubblewrap, but {kernel}, and its processes are not its own")
        case "gvisor" | "bubblewrap":
            return held(f"/health says {facts.isolation}; {kernel}")
    return untold(f"/health says {facts.isolation}, which is not known here; {kernel}")


def kernel_log(facts: Privileges) -> Finding:
    if facts.seen.gvisor:
        return held("it is gVisor's own")
    if facts.seen.log_bytes is None:
        return held("it may not be read")
    return broken(f"{facts.seen.log_bytes} bytes of the host's can be read")


def user(facts: Privileges) -> Finding:
    named = f"user {facts.seen.ids[0]}, group {facts.seen.ids[3]}"
    if 0 not in (*facts.seen.ids, *facts.seen.groups):
        return held(named)
    powerless = set(facts.seen.ids) == {0} and not _held_capabilities(facts.seen)
    if facts.isolation == "gvisor" and facts.seen.gvisor and powerless:
        return untold(f"{named}, without a capability: who that is outside of gVisor is not seen from inside")
    return broken(f"{named}, groups {listed(facts.seen.groups) or 'none'}")


def capabilities(facts: Privileges) -> Finding:
    if len(facts.seen.capabilities) < 4:
        return untold("the kernel does not list them")
    return none_of(_held_capabilities(facts.seen), "it has", "all sets are empty")


def _held_capabilities(seen: Seen) -> list[str]:
    return [f"{name} {value}" for name, value in seen.capabilities.items() if value.strip("0")]


def no_new_privileges(facts: Privileges) -> Finding:
    return held("it is set") if facts.seen.no_new_privs == 1 else broken("it is not set")


def filtered(facts: Privileges) -> Finding:
    if facts.seen.gvisor:
        return held("gVisor answers them itself")
    if facts.seen.seccomp == 2:
        return held("a seccomp filter is in force")
    return broken("no seccomp filter is in force: the host's kernel takes every call")


def refused(names: Collection[str], *, but_gvisors: bool = False) -> Callable[[Privileges], Finding]:
    """A judge of those attempts. What gVisor itself does is not its host's kernel's."""

    def judge(facts: Privileges) -> Finding:
        tried = {name: facts.seen.attempts[name] for name in names if name in facts.seen.attempts}
        allowed = [f"{name} ({said})" for name, said in tried.items() if said not in REFUSALS]
        if len(tried) < len(names):
            return untold(f"not tried: {listed(set(names) - set(tried))}")
        if allowed and but_gvisors and facts.seen.gvisor:
            return held(f"gVisor's own, not its host's: {listed(allowed)}")
        return none_of(allowed, "it may", f"{len(tried)} tried, all refused")

    return judge


def processes(facts: Privileges) -> Finding:
    counted = f"{facts.seen.processes} processes are seen"
    if not facts.seen.is_own_namespace:
        return broken(f"{counted}, the host's kernel threads among them")
    return held(counted) if facts.seen.processes < _OWN_PROCESSES else broken(counted)


_OWN_PROCESSES = 40
"""A runner, its fork servers and what a run starts are fewer."""


def host_name(facts: Privileges) -> Finding:
    name = facts.seen.host_name
    if name in ("sandbox", "localhost", "", "(none)", facts.session):
        return held(f"it is called {name or 'nothing'}")
    if name == facts.other_name:
        return broken(f"two sandboxes are both called {name}, as their host may be")
    return held(f"it is called {name}, and another one {facts.other_name}")


def clock(facts: Privileges) -> Finding:
    if facts.seen.attempts.get("adjtimex") not in REFUSALS:
        return broken("it may set the clock")
    if facts.seen.zone not in ("UTC", "GMT", "Universal"):
        return broken(f"its time zone is {facts.seen.zone}: where its host is")
    off = abs(facts.clock - facts.seen.time)
    return held(f"UTC, {off:.0f} s from this machine's") if off < _APART else broken(f"it is {off:.0f} s off")


_APART = 60

PROBES = (
    Probe("K-1", "the isolation that /health tells is the one that is there", privileges, isolation),
    Probe("K-2", "the host's kernel log cannot be read", privileges, kernel_log),
    Probe("K-3", "system calls do not all reach the host's kernel", privileges, filtered),
    Probe(
        "K-4",
        "user namespaces, io_uring, perf, userfaultfd, keyrings are not the host's",
        privileges,
        refused(SURFACE, but_gvisors=True),
    ),
    Probe("P-1", "the code is not root, and in none of its groups", privileges, user),
    Probe("P-2", "it has no capability, and can get none", privileges, capabilities),
    Probe("P-3", "no program gives it more privileges (no_new_privs)", privileges, no_new_privileges),
    Probe(
        "P-4", "mount, chroot, pivot_root, namespaces, mknod, setuid are refused", privileges, refused(ROOTS)
    ),
    Probe(
        "P-5",
        "bpf, modules, kexec, reboot, swap, clock, host name are refused",
        privileges,
        refused(MACHINES),
    ),
    Probe("P-6", "it sees its own processes alone", privileges, processes),
    Probe("P-7", "the host's name is not told", privileges, host_name),
    Probe("P-8", "the clock is right, in UTC, and cannot be set", privileges, clock),
)
