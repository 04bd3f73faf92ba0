"""The cluster as processes of this machine: control plane and one node in namespaces of their own, no Docker.

`up` may follow anything: a running cluster (a second), one whose daemons died (they are started again), what
a killed run left half-made (cleaned away) or nothing at all.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from e2e.cluster import bringup, cache, cgroups, client, daemons, locks, namespaces, packages
from e2e.cluster import load as images
from e2e.cluster.errors import ClusterError
from e2e.cluster.instance import (
    CHECKOUT,
    STATE,
    Cluster,
    Instance,
    choose_network,
    instance_id,
    name,
    state,
)
from e2e.cluster.progress import say

_ID = instance_id(CHECKOUT)


def up() -> Cluster:
    with _alone():
        packages.ensure()
        cache.build_all()
        instance = _recorded()
        if instance is None or not _usable(instance):
            instance = _anew()
        (instance.state / "complete").touch()
        return instance.cluster


def down() -> None:
    with _alone():
        release(_ID)


def recorded() -> Cluster | None:
    instance = _recorded()
    return instance.cluster if instance else None


def complaint() -> str | None:
    instance = _recorded()
    return _complaint(instance) if instance else "down"


def load(archive: Path) -> None:
    images.load(_up(), archive)


def restart_apiserver() -> None:
    """Kill it and start it again; answers when it is ready."""
    with _alone():
        bringup.restart_apiserver(_up())


def stop_kubelet() -> None:
    """Kill it: nobody speaks for the node any more, whose pods run on."""
    with _alone():
        bringup.stop_kubelet(_up())


def start_kubelet() -> None:
    with _alone():
        bringup.start_kubelet(_up())


def pod_processes(uid: str) -> set[int]:
    """The processes of a pod, as this machine counts them; those of gVisor among them."""
    return cgroups.of_pod(_up().name, uid)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One command at a time per checkout. The lock is on a folder of it, which leaves no file behind."""
    if os.geteuid() != 0:
        raise ClusterError("a cluster of bare processes needs root")
    with locks.held(Path(__file__).parent):
        yield


def _recorded() -> Instance | None:
    try:
        network = json.loads((state(_ID) / "instance.json").read_text())["network"]
    except (FileNotFoundError, PermissionError, ValueError, KeyError):
        return None
    return Instance(_ID, ipaddress.IPv4Network(network))


def _up() -> Instance:
    instance = _recorded()
    if instance is None:
        raise ClusterError("the cluster is not up")
    return instance


def _complaint(instance: Instance) -> str | None:
    if not (instance.state / "complete").exists():
        return "half-made"
    if dead := daemons.dead(instance.state):
        return f"dead: {', '.join(dead)}"
    return None if client.ready(instance) else "the apiserver is not ready"


def _usable(instance: Instance) -> bool:
    """Whether it runs, or runs again now that its dead daemons have been restarted."""
    complaint = _complaint(instance)
    if complaint is None:
        return True
    say(complaint)
    if not (instance.state / "complete").exists() or not namespaces.exist(instance):
        return False
    try:
        bringup.run(instance)
    except ClusterError as error:
        say(f"cannot be mended: {error}")
        return False
    return True


def _anew() -> Instance:
    release(_ID)
    instance = claim(_ID)
    bringup.prepare(instance)
    bringup.run(instance)
    return instance


def claim(id_: str) -> Instance:
    """Choose the names and write them down before anything is made that would need cleaning."""
    with locks.machine():
        instance = Instance(id_, choose_network(id_, namespaces.networks()))
        instance.state.mkdir(parents=True)
        (instance.state / "instance.json").write_text(json.dumps({"network": str(instance.network)}))
        namespaces.add_network(instance)
    return instance


def release(id_: str) -> None:
    """Give everything back, whatever state a killed run left it in."""
    daemons.kill(lambda: _processes(id_))
    namespaces.remove(id_)
    cgroups.remove(name(id_))
    if state(id_).exists():
        shutil.rmtree(state(id_))
    with locks.machine(), contextlib.suppress(OSError):
        # Fails while another checkout has its state here.
        STATE.rmdir()
        namespaces.remove_mount_points()


def _processes(id_: str) -> set[int]:
    return daemons.recorded(state(id_)) | namespaces.processes(id_) | cgroups.processes(name(id_))
