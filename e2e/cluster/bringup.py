"""From chosen names to a cluster that takes pods. What runs already is left alone, so this mends one too."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from e2e.cluster import archives, cache, client, config, controlplane, load, namespaces, pki
from e2e.cluster.components import all_components
from e2e.cluster.daemons import end, forget_dead, start, until
from e2e.cluster.instance import NODE, Instance
from e2e.cluster.progress import step

_MANIFESTS = Path(__file__).parent / "manifests"
_CNI_PLUGINS = ("host-local", "loopback", "portmap")


def prepare(instance: Instance) -> None:
    """Namespaces, certificates and configuration: once in a cluster's life."""
    with step("certificates and configuration"):
        pki.create(instance, _pki(instance))
        _configure(instance)
        _copy_cni_plugins(instance.state / "cni" / "bin")
        namespaces.add_mounts(instance)


def run(instance: Instance) -> None:
    """Raises ClusterError when something does not come up, with what its log says."""
    state = instance.state
    forget_dead(state)
    with step("containerd and the control plane"):
        _start(instance, controlplane.containerd(state))
        _start(instance, controlplane.etcd(state))
        _start(instance, controlplane.apiserver(instance, _pki(instance)))
        until(state, "containerd", lambda: client.containerd_answers(instance))
        _load_own_images(instance)
        until(state, "the apiserver", lambda: client.ready(instance))
    with step("node"):
        _start(instance, controlplane.controller_manager(_pki(instance)))
        _start(instance, controlplane.scheduler(_pki(instance)))
        _start(instance, controlplane.kubelet(instance, _pki(instance)))
        _start(instance, controlplane.kube_proxy(state))
        client.apply(instance, cache.folder("calico") / "crds")
        calico = state / "manifests" / "calico.yaml"
        until(state, "Calico's resources", lambda: client.accepts(instance, calico))
        _start(instance, controlplane.felix(instance))
        client.apply(instance, state / "manifests")
        _start(instance, controlplane.local_path_provisioner(instance, archives.HELPER))
        until(state, "the node", lambda: client.meets(instance, "Ready", f"node/{NODE}"))
        until(state, "DNS", lambda: client.meets(instance, "Available", "deployment/coredns", "kube-system"))


def restart_apiserver(instance: Instance) -> None:
    """Raises ClusterError when it does not come back."""
    daemon = controlplane.apiserver(instance, _pki(instance))
    end(instance.state, daemon.binary)
    _start(instance, daemon)
    until(instance.state, "the apiserver", lambda: client.ready(instance))


def stop_kubelet(instance: Instance) -> None:
    """Kill it; the pods of the node run on."""
    end(instance.state, controlplane.kubelet(instance, _pki(instance)).binary)


def start_kubelet(instance: Instance) -> None:
    _start(instance, controlplane.kubelet(instance, _pki(instance)))


def _pki(instance: Instance) -> Path:
    return instance.state / "pki"


def _start(instance: Instance, daemon: controlplane.Daemon) -> None:
    start(instance, daemon, cache.binary(daemon.binary))


def _configure(instance: Instance) -> None:
    state = instance.state
    for name in ("log", "bin", "cni/conf", "volumes", "manifests"):
        (state / name).mkdir(parents=True)
    files = {
        "containerd.toml": config.containerd(state),
        "runsc.toml": config.runsc(state, cache.binary("runsc")),
        "kubelet.json": config.kubelet(instance, _pki(instance)),
        "kube-proxy.json": config.kube_proxy(_pki(instance)),
        "audit-policy.json": config.audit_policy(),
        "cni/conf/10-calico.conflist": config.cni(instance),
        # No name server outside the cluster is of any use to a pod here.
        "resolv.conf": "nameserver 127.0.0.1\n",
        "local-path.json": config.local_path(state),
    }
    for manifest in _MANIFESTS.glob("*.yaml"):
        files[f"manifests/{manifest.name}"] = manifest.read_text().replace("@STATE@", str(state))
    for name, text in files.items():
        (state / name).write_text(text)
    for component in all_components():
        for binary in component.binaries:
            (state / "bin" / binary).symlink_to(cache.binary(binary))


def _copy_cni_plugins(target: Path) -> None:
    target.mkdir()
    for plugin in _CNI_PLUGINS:
        shutil.copy2(Path("/usr/lib/cni") / plugin, target)
    shutil.copy2(cache.binary("calico"), target)


def _load_own_images(instance: Instance) -> None:
    with tempfile.TemporaryDirectory() as name:
        for image in archives.own_images():
            archive = Path(name) / f"{image.name.rpartition('/')[2]}.tar"
            archives.write(image, archive)
            load.load(instance, archive)
