"""The NetworkPolicy of an environment's sandboxes: nothing in, nothing out but its allow list.

One per environment and there before any pod: policies take effect some time after they are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from codesession_crds import labels
from codesession_crds.environment import CodeEnvironment, EgressRule, Network, NetworkMode
from codesession_operator.builders.common import Object, owner

IPNetwork = IPv4Network | IPv6Network

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
"""Where nodes, pods and services of nearly all clusters are."""

ALWAYS_DENIED = (
    "169.254.0.0/16",  # link-local; metadata of AWS, GCP, Azure, OpenStack
    "fe80::/10",
    "fd00:ec2::254/128",  # metadata of AWS
    "fd20:ce::254/128",  # metadata of GCP
    "100.100.100.200/32",  # metadata of Alibaba
    "168.63.129.16/32",  # Azure's wire server
    "192.0.0.192/32",  # metadata of Oracle
    "127.0.0.0/8",
    "::1/128",
)
EVERYTHING = ("0.0.0.0/0", "::/0")
_DNS_PORT = 53
_NAME_SERVERS = 3  # Kubernetes takes no more


def network_policy(environment: CodeEnvironment, denied: Iterable[str] = ()) -> Object:
    """`denied` are networks that no allow list opens, besides those which never are."""
    name = environment.metadata.name
    closed = [ip_network(cidr, strict=False) for cidr in (*ALWAYS_DENIED, *denied)]
    network = environment.spec.network
    allowed = network.egress if network.mode is NetworkMode.ALLOW else []
    rules = [rule for rule in (_rule(entry, closed) for entry in allowed) if rule is not None]
    selector = {
        labels.MANAGED_BY: labels.MANAGER,
        labels.COMPONENT: labels.SANDBOX,
        labels.ENVIRONMENT: name,
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": f"codesession-{name}",
            "namespace": environment.metadata.namespace,
            "labels": labels.of_policy(name),
            "ownerReferences": [owner(environment)],
        },
        "spec": {
            "podSelector": {"matchLabels": selector},
            "policyTypes": ["Ingress", "Egress"],
            # Said even where empty: an apply leaves alone what it does not name, such as another's rule.
            "ingress": [],
            "egress": rules,
        },
    }


def left_open(environment: CodeEnvironment, denied: Iterable[str], addresses: Iterable[str]) -> str | None:
    """The first of the cluster's own addresses that `denied` does not hold, if the environment has an allow
    list; then the networks of the cluster are not those that were named."""
    network = environment.spec.network
    if network.mode is not NetworkMode.ALLOW or not network.egress:
        return None
    closed = [ip_network(cidr, strict=False) for cidr in denied]
    return next((one for one in addresses if not any(ip_address(one) in net for net in closed)), None)


def name_servers(network: Network) -> list[str]:
    """The addresses that the allow list names for UDP port 53 and that are one host each."""
    targets = [
        ip_network(rule.cidr, strict=False)
        for rule in (network.egress if network.mode is NetworkMode.ALLOW else [])
        if rule.protocol == "UDP" and _DNS_PORT in rule.ports
    ]
    return [str(one.network_address) for one in targets if one.num_addresses == 1][:_NAME_SERVERS]


def is_same(spec: Object, other: Object) -> bool:
    """Whether two policies' specs say the same: the API server leaves out what is empty."""
    return _filled(spec) == _filled(other)


def _filled(spec: Object) -> Object:
    return {key: value for key, value in spec.items() if value}


def _rule(entry: EgressRule, closed: Sequence[IPNetwork]) -> Object | None:
    """None when all of it is denied."""
    target = ip_network(entry.cidr, strict=False)
    overlapping = [
        network for network in closed if network.version == target.version and network.overlaps(target)
    ]
    if any(target.prefixlen >= network.prefixlen for network in overlapping):
        return None
    block: Object = {"cidr": str(target)}
    if overlapping:
        block["except"] = sorted(str(network) for network in overlapping)
    ports = [{"protocol": entry.protocol, "port": port} for port in entry.ports]
    return {"to": [{"ipBlock": block}], "ports": ports}
