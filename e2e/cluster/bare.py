"""The cluster as processes of this machine: control plane and one node in a network namespace, no Docker.

`up` may follow anything: a running cluster (a second), a killed run's leftovers (cleaned away)
or nothing at all.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from e2e.cluster import archives, build, cache, config, controlplane, daemons, host, packages, pki
from e2e.cluster.components import all_components
from e2e.cluster.errors import ClusterError
from e2e.cluster.instance import STATE, Instance, choose_network, instance_id, state
from e2e.cluster.progress import say, step
from e2e.cluster.shell import run, succeeds

CHECKOUT = Path(__file__).resolve().parents[2]
MANIFESTS = Path(__file__).parent / "manifests"
_CALICO_MODULE = "github.com/projectcalico/calico"
_CNI_PLUGINS = ("host-local", "loopback", "portmap")


def up() -> Instance:
    if os.geteuid() != 0:
        raise ClusterError("a cluster of bare processes needs root")
    packages.ensure()
    build.everything()
    with _locked():
        instance = current()
        if instance is not None and _healthy(instance):
            return instance
        if state(_id()).exists():
            say("cleaning up what an earlier run left")
            _release()
        instance = _claim()
        _start(instance)
    return instance


def down() -> None:
    with _locked():
        _release()


def current() -> Instance | None:
    """This checkout's instance as far as it was recorded, running or not."""
    try:
        network = json.loads((state(_id()) / "instance.json").read_text())["network"]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return Instance(_id(), ipaddress.IPv4Network(network))


def is_up() -> bool:
    instance = current()
    return instance is not None and _healthy(instance)


def load(archive: Path) -> None:
    """Import an image archive, unless it was imported already. Its name tells its content: `images.build`
    puts a hash there."""
    instance = current()
    if instance is None:
        raise ClusterError("the cluster is not up")
    mark = instance.state / "loaded" / f"{archive.name}-{archive.stat().st_size}"
    if mark.exists():
        return
    with step(f"load {archive.name}"):
        _ctr(instance, "images", "import", str(archive.resolve()))
    mark.parent.mkdir(exist_ok=True)
    mark.touch()


def _id() -> str:
    return instance_id(CHECKOUT)


def _locked() -> AbstractContextManager[None]:
    return cache.lock(STATE / f"{_id()}.lock")


def _claim() -> Instance:
    """Choose the names and write them down before anything is made that would need cleaning."""
    instance = Instance(_id(), choose_network(_id(), host.networks()))
    instance.state.mkdir(parents=True)
    (instance.state / "instance.json").write_text(json.dumps({"network": str(instance.network)}))
    return instance


def _release() -> None:
    nowhere = Instance(_id(), ipaddress.IPv4Network("10.200.0.0/24"))
    host.release(nowhere.id, nowhere.name, nowhere.host_link, nowhere.state)


def _healthy(instance: Instance) -> bool:
    records = list((instance.state / "run").glob("*"))
    complete = (instance.state / "complete").exists()
    return complete and all(daemons.alive(record) for record in records) and _ready(instance)


def _ready(instance: Instance) -> bool:
    return instance.kubeconfig.exists() and succeeds(_kubectl(instance, "get", "--raw", "/readyz"))


def _start(instance: Instance) -> None:
    folder = instance.state / "pki"
    with step("certificates and configuration"):
        pki.create(instance, folder)
        _configure(instance, folder)
        host.add_network(instance)
        host.add_cgroups(instance)
    with step("control plane"):
        _run(instance, controlplane.etcd(instance.state))
        _run(instance, controlplane.apiserver(instance, folder))
        _until("the apiserver", lambda: _ready(instance))
        _run(instance, controlplane.controller_manager(folder))
        _run(instance, controlplane.scheduler(folder))
    with step("images of the cluster's own"):
        _run(instance, controlplane.containerd(instance.state))
        _until("containerd", lambda: succeeds(_ctr_command(instance, "version")))
        _load_own_images(instance)
    with step("node"):
        _apply(instance, _calico_crds())
        _until("Calico's resources", lambda: _try_apply(instance, MANIFESTS / "calico.yaml"))
        _run(instance, controlplane.felix(instance))
        _run(instance, controlplane.kubelet(instance, folder))
        _run(instance, controlplane.kube_proxy(instance.state))
        for name in ("runtimeclass", "coredns", "local-path"):
            _apply(instance, _rendered(instance, name))
        _run(instance, controlplane.local_path_provisioner(instance, archives.HELPER))
        _wait(instance, "node/node", "Ready")
        _wait(instance, "deployment/coredns", "Available", "--namespace=kube-system")
    (instance.state / "complete").touch()


def _configure(instance: Instance, folder: Path) -> None:
    state_ = instance.state
    for name in ("log", "bin", "cni/bin", "cni/conf", "volumes", "pod-logs", "rendered"):
        (state_ / name).mkdir(parents=True, exist_ok=True)
    files = {
        "containerd.toml": config.containerd(state_),
        "runsc.toml": config.runsc(state_, cache.binary("runsc")),
        "kubelet.json": config.kubelet(instance, folder),
        "kube-proxy.json": config.kube_proxy(folder),
        "audit-policy.json": config.audit_policy(),
        "cni/conf/10-calico.conflist": config.cni(instance),
        # No name server outside the cluster is of any use to a pod here.
        "resolv.conf": "nameserver 127.0.0.1\n",
        "local-path.json": config.local_path(state_),
    }
    for name, text in files.items():
        (state_ / name).write_text(text)
    for plugin in _CNI_PLUGINS:
        shutil.copy2(Path("/usr/lib/cni") / plugin, state_ / "cni" / "bin")
    shutil.copy2(cache.binary("calico"), state_ / "cni" / "bin")
    for item in all_components():
        for binary in item.binaries:
            (state_ / "bin" / binary).symlink_to(cache.binary(binary))


def _run(instance: Instance, daemon: controlplane.Daemon) -> None:
    daemons.start(instance, daemon, cache.binary(daemon.binary))


def _load_own_images(instance: Instance) -> None:
    with tempfile.TemporaryDirectory() as name:
        for image in archives.own_images():
            target = Path(name) / "image.tar"
            archives.write(image, target)
            _ctr(instance, "images", "import", str(target))


def _calico_crds() -> Path:
    """Calico's resource definitions, from the module that felix was built of."""
    folder = build.module_folder("calico", _CALICO_MODULE)
    return folder / "libcalico-go" / "config" / "crd"


def _rendered(instance: Instance, name: str) -> Path:
    target = instance.state / "rendered" / f"{name}.yaml"
    text = (MANIFESTS / f"{name}.yaml").read_text()
    target.write_text(text.replace("@STATE@", str(instance.state)))
    return target


def _kubectl(instance: Instance, *words: str) -> list[str | Path]:
    return [cache.binary("kubectl"), f"--kubeconfig={instance.kubeconfig}", *words]


def _apply(instance: Instance, file: Path) -> None:
    run(_kubectl(instance, "apply", "--server-side", "-f", str(file)))


def _try_apply(instance: Instance, file: Path) -> bool:
    return succeeds(_kubectl(instance, "apply", "--server-side", "-f", str(file)))


def _wait(instance: Instance, what: str, condition: str, *options: str) -> None:
    def met() -> bool:
        words = ("wait", f"--for=condition={condition}", what, "--timeout=2s", *options)
        return succeeds(_kubectl(instance, *words))

    _until(f"{what} {condition}", met)


def _until(what: str, done: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} was not there after {seconds:.0f} s: see {state(_id())}/log")
        time.sleep(0.2)


def _ctr_command(instance: Instance, *words: str) -> list[str | Path]:
    socket = f"--address={instance.state}/containerd.sock"
    return [cache.binary("ctr"), socket, "--namespace=k8s.io", *words]


def _ctr(instance: Instance, *words: str) -> None:
    run(_ctr_command(instance, *words))
