"""Nothing is reached: not the internet, not the cluster, not the node. All addresses are asked in one run."""

from __future__ import annotations

import json
from collections.abc import Callable

from codesession_api.probe.finding import Finding, broken, held, listed, untold
from codesession_api.probe.lab import Facts, Lab
from codesession_api.probe.suite import Probe

Address = tuple[str, str, int]


class Asked(Facts):
    """`outcome` is reached, refused, silent, or the name of an error."""

    group: str
    address: str
    outcome: str


class Reach(Facts):
    works: bool
    """Whether the program reached its own loopback, so that it could have reached more."""
    nowhere: str
    """What came of an address that nobody has: where that is refused, the way there refuses."""
    own: str | None
    resolved: list[str]
    asked: list[Asked]


_DNS = ("10.96.0.10", "10.43.0.10", "10.100.0.10", "172.20.0.10", "169.254.20.10", "8.8.8.8", "1.1.1.1")
_API = ("10.96.0.1", "10.43.0.1", "10.100.0.1", "172.20.0.1", "10.0.0.1", "10.152.183.1", "172.30.0.1")
ADDRESSES: dict[str, list[Address]] = {
    "tcp": [("tcp", host, port) for host in ("1.1.1.1", "8.8.8.8", "9.9.9.9") for port in (443, 80)],
    "udp": [("udp", host, 53) for host in ("1.1.1.1", "8.8.8.8", "9.9.9.9")],
    "icmp": [("icmp", host, 0) for host in ("1.1.1.1", "8.8.8.8")],
    "dns": [(protocol, host, 53) for host in _DNS for protocol in ("udp", "tcp")],
    "metadata": [
        *(
            ("tcp", host, 80)
            for host in ("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200")
        ),
        ("tcp", "169.254.170.23", 80),
        ("tcp", "fd00:ec2::254", 80),
    ],
    "api": [("tcp", host, port) for host in _API for port in (443, 6443)],
    "node": [],
    "ipv6": [("tcp", host, 443) for host in ("2606:4700:4700::1111", "2001:4860:4860::8888")],
}


async def reach(lab: Lab) -> Reach:
    groups = ADDRESSES | {"named": list(lab.addresses)}
    return await lab.looked(Reach, "reach", json.dumps(groups))


def none_reached(group: str) -> Callable[[Reach], Finding]:
    """A judge of the addresses of one group."""

    def judge(facts: Reach) -> Finding:
        asked = [entry for entry in facts.asked if entry.group == group]
        got = [entry for entry in asked if _answers(entry, facts.nowhere)]
        if got:
            return broken(f"got an answer from {listed(f'{each.address} ({each.outcome})' for each in got)}")
        if not facts.works:
            return untold("the program could not even reach its own loopback")
        if not asked:
            return untold(_UNASKED.get(group, "there was no address to ask"))
        return held(f"{len(asked)} asked: {listed(dict.fromkeys(each.outcome for each in asked))}")

    return judge


_UNASKED = {"node": "the sandbox knows of no gateway", "named": "none were named (--reach)"}


def no_names(facts: Reach) -> Finding:
    if facts.resolved:
        return broken(f"it resolves {listed(facts.resolved)}")
    return none_reached("dns")(facts)


def node(facts: Reach) -> Finding:
    """A sandbox without any address has no way to a node."""
    found = none_reached("node")(facts)
    if found.result == "cannot be told" and facts.own is None and facts.works:
        return held("the sandbox has no address but its loopback's")
    return found


def _answers(entry: Asked, nowhere: str) -> bool:
    """A refusal comes from the host itself, where it does not come from the way to everywhere."""
    return entry.outcome == "reached" or (entry.outcome == "refused" and nowhere != "refused")


PROBES = (
    Probe("N-1", "the internet is not reached by TCP", reach, none_reached("tcp")),
    Probe("N-2", "the internet is not reached by UDP", reach, none_reached("udp")),
    Probe("N-3", "the internet is not reached by ICMP", reach, none_reached("icmp")),
    Probe("N-4", "names are not resolved, and no name server answers", reach, no_names),
    Probe("N-5", "no cloud's metadata service answers", reach, none_reached("metadata")),
    Probe("N-6", "the Kubernetes API server is not reached", reach, none_reached("api")),
    Probe("N-7", "the node is not reached by its gateway's address", reach, node),
    Probe("N-8", "nothing is reached by IPv6", reach, none_reached("ipv6")),
    Probe("N-9", "the addresses that you named are not reached", reach, none_reached("named")),
)
