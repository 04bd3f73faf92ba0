"""The names that one checkout's cluster has on this machine: all of them its own, so that two never meet."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.errors import ClusterError

CHECKOUT = Path(__file__).resolve().parents[2]
STATE = Path("/var/lib/codesession-e2e")
NODE = "node"
_NETWORKS = [ipaddress.IPv4Network(f"10.200.{n}.0/24") for n in range(1, 250)]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster: how to talk to it, and where its NodePorts answer."""

    kubeconfig: Path
    node_address: str


@dataclass(frozen=True, slots=True)
class Instance:
    """`id` is six hex digits of the checkout's path."""

    id: str
    network: ipaddress.IPv4Network

    @property
    def name(self) -> str:
        """Of the network namespace, the control group and the CNI network."""
        return name(self.id)

    @property
    def state(self) -> Path:
        return state(self.id)

    @property
    def host_address(self) -> str:
        return str(self.network[1])

    @property
    def node_address(self) -> str:
        return str(self.network[2])

    @property
    def host_link(self) -> str:
        return host_link(self.id)

    @property
    def node_link(self) -> str:
        return f"cs{self.id}n"

    @property
    def cluster(self) -> Cluster:
        return Cluster(self.state / "pki" / "admin.kubeconfig", self.node_address)


def instance_id(checkout: Path) -> str:
    return hashlib.sha256(str(checkout.resolve()).encode()).hexdigest()[:6]


def name(id_: str) -> str:
    return f"codesession-{id_}"


def state(id_: str) -> Path:
    return STATE / id_


def host_link(id_: str) -> str:
    """At most 15 characters, as the kernel wants it."""
    return f"cs{id_}h"


def choose_network(id_: str, taken: Sequence[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """The first free network, beginning at one that depends on the checkout."""
    start = int(id_, 16) % len(_NETWORKS)
    for network in _NETWORKS[start:] + _NETWORKS[:start]:
        if not any(network.overlaps(other) for other in taken):
            return network
    raise ClusterError("every network of 10.200.0.0/16 is taken")
