"""The programs of a cluster as pinned Go modules: each folder of `modules/` is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from e2e.cluster.errors import ClusterError

FOLDER = Path(__file__).parent / "modules"
KUBERNETES_VERSION = "v1.34.4"
_CAP_SYS_RESOURCE = 24


@dataclass(frozen=True, slots=True)
class Patch:
    """Text to replace in a file of the vendored modules; the build fails when it is not there once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Component:
    """`binaries` maps an executable's name to its Go package, `assets` a name to a module and its folder."""

    name: str
    binaries: Mapping[str, str]
    assets: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    ldflags: str = "-s -w"
    patches: tuple[Patch, ...] = field(default=())

    @property
    def folder(self) -> Path:
        return FOLDER / self.name


def all_components() -> list[Component]:
    """Of every cluster, in the order in which they are built: the slowest and most needed first."""
    return [_kubernetes(), *_SIMPLE[:2], gvisor(_has_capability(_CAP_SYS_RESOURCE)), *_SIMPLE[2:]]


def providing(binary: str) -> Component:
    for component in (*all_components(), *_APART):
        if binary in component.binaries:
            return component
    raise ClusterError(f"no component provides {binary}")


def named(name: str) -> Component:
    for component in (*all_components(), *_APART):
        if component.name == name:
            return component
    raise ClusterError(f"no component is called {name}")


def _kubernetes() -> Component:
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    values = {"gitVersion": KUBERNETES_VERSION, "gitMajor": major, "gitMinor": minor}
    stamps = [
        f"-X {package}.{name}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in values.items()
    ]
    names = ("apiserver", "controller-manager", "scheduler", "proxy")
    binaries = {f"kube-{name}": f"k8s.io/kubernetes/cmd/kube-{name}" for name in names}
    binaries |= {name: f"k8s.io/kubernetes/cmd/{name}" for name in ("kubelet", "kubectl")}
    return Component("kubernetes", binaries, ldflags=" ".join(["-s -w", *stamps]))


def gvisor(may_set_oom_score: bool) -> Component:
    """The shim insists on setting its OOM score, which needs a capability that some virtual machines lack."""
    failing = "if err := sys.SetOOMScore(cmd.Process.Pid, oomScoreMax); err != nil {"
    tolerant = failing.replace("err != nil {", "err != nil && !os.IsPermission(err) {")
    patch = Patch("gvisor.dev/gvisor/pkg/shim/v1/manager.go", failing, tolerant)
    return Component(
        "gvisor",
        {"runsc": "gvisor.dev/gvisor/runsc", "containerd-shim-runsc-v1": "gvisor.dev/gvisor/shim"},
        patches=() if may_set_oom_score else (patch,),
    )


_CONTAINERD = "github.com/containerd/containerd/v2/cmd"
_CALICO = "github.com/projectcalico/calico"
_SIMPLE = [
    Component("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}),
    Component(
        "containerd",
        {name: f"{_CONTAINERD}/{name}" for name in ("containerd", "ctr", "containerd-shim-runc-v2")},
    ),
    Component(
        "calico",
        {"calico-felix": f"{_CALICO}/felix/cmd/calico-felix", "calico": f"{_CALICO}/cni-plugin/cmd/calico"},
        assets={"crds": (_CALICO, "libcalico-go/config/crd")},
    ),
    Component("coredns", {"coredns": "github.com/coredns/coredns"}),
    Component(
        "local-path-provisioner",
        {"local-path-provisioner": "github.com/rancher/local-path-provisioner"},
    ),
    Component("helm", {"helm": "helm.sh/helm/v3/cmd/helm"}),
    Component("minio", {"minio": "github.com/minio/minio"}),
    Component("promql", {"promql": "codesession.dev/e2e/cluster/promql"}),
    Component("pause", {"pause": "codesession.dev/e2e/cluster/pause"}),
]

_APART = [
    Component("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}),
    Component("actionlint", {"actionlint": "github.com/rhysd/actionlint/cmd/actionlint"}),
    Component("compose", {"compose-spec": "github.com/compose-spec/compose-go/v2/cmd"}),
]
"""Built by whoever asks for them: pretended nodes, for the operator's benchmark; readers of workflows and of
compose files, for the tests of both."""


def _has_capability(bit: int) -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> bit & 1)
    return True
