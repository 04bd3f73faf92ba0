"""The command lines of a cluster's programs, in the order in which they start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from e2e.cluster import config
from e2e.cluster.instance import NODE, Instance

_ETCD = "http://127.0.0.1:2379"
_ETCD_PEER = "http://127.0.0.1:2380"


@dataclass(frozen=True, slots=True)
class Daemon:
    """A program that runs as long as the cluster. `options` become `--name=value`."""

    binary: str
    options: Mapping[str, object]
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def words(self) -> list[str]:
        return [*self.arguments, *(f"--{name}={value}" for name, value in self.options.items())]


def etcd(state: Path) -> Daemon:
    """Without fsync: a test cluster's data need not survive the machine."""
    return Daemon(
        "etcd",
        {
            "data-dir": state / "etcd",
            "unsafe-no-fsync": "true",
            "listen-client-urls": _ETCD,
            "advertise-client-urls": _ETCD,
            "listen-peer-urls": _ETCD_PEER,
            "initial-advertise-peer-urls": _ETCD_PEER,
            "initial-cluster": f"default={_ETCD_PEER}",
        },
    )


def apiserver(instance: Instance, pki: Path) -> Daemon:
    header = "requestheader"
    return Daemon(
        "kube-apiserver",
        {
            "etcd-servers": _ETCD,
            "advertise-address": instance.node_address,
            "service-cluster-ip-range": config.SERVICE_CIDR,
            "authorization-mode": "Node,RBAC",
            "allow-privileged": "true",
            "tls-cert-file": pki / "apiserver.crt",
            "tls-private-key-file": pki / "apiserver.key",
            "client-ca-file": pki / "ca.crt",
            "kubelet-client-certificate": pki / "apiserver-kubelet.crt",
            "kubelet-client-key": pki / "apiserver-kubelet.key",
            "kubelet-preferred-address-types": "InternalIP",
            "proxy-client-cert-file": pki / "front-proxy.crt",
            "proxy-client-key-file": pki / "front-proxy.key",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": pki / "service-accounts.pub",
            "service-account-signing-key-file": pki / "service-accounts.key",
            # Without these the controller-manager and the scheduler complain for ever.
            f"{header}-client-ca-file": pki / "ca.crt",
            f"{header}-username-headers": "X-Remote-User",
            f"{header}-group-headers": "X-Remote-Group",
            f"{header}-extra-headers-prefix": "X-Remote-Extra-",
            "audit-policy-file": instance.state / "audit-policy.json",
            "audit-log-path": instance.state / "log" / "audit.log",
            "audit-log-maxsize": 200,
            "audit-log-maxbackup": 1,
        },
    )


def controller_manager(pki: Path) -> Daemon:
    return Daemon(
        "kube-controller-manager",
        _client(pki, "controller-manager")
        | {
            "service-account-private-key-file": pki / "service-accounts.key",
            "root-ca-file": pki / "ca.crt",
            "use-service-account-credentials": "true",
            "allocate-node-cidrs": "true",
            "cluster-cidr": config.POD_CIDR,
            "service-cluster-ip-range": config.SERVICE_CIDR,
            "leader-elect": "false",
        },
    )


def scheduler(pki: Path) -> Daemon:
    return Daemon("kube-scheduler", _client(pki, "scheduler") | {"leader-elect": "false"})


def containerd(state: Path) -> Daemon:
    return Daemon("containerd", {"config": state / "containerd.toml"})


def kubelet(instance: Instance, pki: Path) -> Daemon:
    state = instance.state
    return Daemon(
        "kubelet",
        {
            "config": state / "kubelet.json",
            "kubeconfig": pki / "kubelet.kubeconfig",
            "hostname-override": NODE,
            "node-ip": instance.node_address,
            "root-dir": state / "kubelet",
            "cert-dir": state / "kubelet-pki",
            # It looks at each open file of each process, of which gVisor has many (docs/operations.md).
            "housekeeping-interval": "30s",
        },
    )


def kube_proxy(state: Path) -> Daemon:
    return Daemon("kube-proxy", {"config": state / "kube-proxy.json"})


def felix(instance: Instance) -> Daemon:
    return Daemon("calico-felix", {}, environment=config.felix(instance))


def local_path_provisioner(instance: Instance, helper_image: str) -> Daemon:
    """As a process of the node's: its volumes are folders of the node's anyhow."""
    return Daemon(
        "local-path-provisioner",
        {
            "kubeconfig": instance.cluster.kubeconfig,
            "config": instance.state / "local-path.json",
            "helper-image": helper_image,
            "namespace": "local-path-storage",
            "configmap-name": "local-path-config",
        },
        arguments=("start",),
        environment={"POD_NAMESPACE": "local-path-storage"},
    )


def _client(pki: Path, name: str) -> dict[str, object]:
    file = pki / f"{name}.kubeconfig"
    options = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return dict.fromkeys(options, file)
