"""The names that one checkout's cluster has on this machine: all of them its own, so that two never meet."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from pathlib import Path

STATE = Path("/var/lib/codesession-e2e")
NODE = "node"
_NETWORKS = [ipaddress.IPv4Network(f"10.200.{n}.0/24") for n in range(1, 250)]


@dataclass(frozen=True, slots=True)
class Instance:
    """`id` is six hex digits of the checkout's path."""

    id: str
    network: ipaddress.IPv4Network

    @property
    def name(self) -> str:
        """Name of the network namespace, the cgroup and the CNI network."""
        return f"codesession-{self.id}"

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
        return f"cs{self.id}h"

    @property
    def node_link(self) -> str:
        return f"cs{self.id}n"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "pki" / "admin.kubeconfig"


def instance_id(checkout: Path) -> str:
    return hashlib.sha256(str(checkout.resolve()).encode()).hexdigest()[:6]


def state(id_: str) -> Path:
    return STATE / id_


def choose_network(id_: str, taken: list[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """The first free network, beginning at one that depends on the checkout. ValueError when none is."""
    start = int(id_, 16) % len(_NETWORKS)
    for network in _NETWORKS[start:] + _NETWORKS[:start]:
        if not any(network.overlaps(other) for other in taken):
            return network
    raise ValueError("every network of 10.200.0.0/16 is taken")
