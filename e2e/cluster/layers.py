"""Layers of images that a cluster of this machine has unpacked once, kept for the next one.

They are hard links to each other's files: giving gigabytes to a new cluster takes seconds and no room.
Nothing ever writes to a file of a layer.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster import cache, client
from e2e.cluster.errors import ClusterError
from e2e.cluster.instance import Instance
from e2e.cluster.shell import run

_UNUSED_SECONDS = 3 * 24 * 3600


def give(instance: Instance, chain: Sequence[str]) -> int:
    """Make snapshots of these layers, from the lowest, as far as they are kept; how many there are then."""
    parent = ""
    for count, layer in enumerate(chain):
        if not _has(instance, layer) and not _given(instance, layer, parent):
            return count
        parent = layer
    return len(chain)


def keep(instance: Instance, chain: Sequence[str]) -> None:
    """Remember what containerd unpacked of them, and forget what nobody has used for days."""
    directory = _directory()
    for layer in chain:
        if _kept(layer).exists():
            _kept(layer).touch()
        elif _one_device(directory, instance.state):
            partial = directory / f".partial-{uuid.uuid4().hex}"
            (partial / "fs").mkdir(parents=True)
            _link(_unpacked(instance, layer), partial / "fs")
            try:
                partial.rename(_kept(layer))
            except OSError:  # another checkout was faster
                shutil.rmtree(partial)
    _prune(directory)


def _given(instance: Instance, layer: str, parent: str) -> bool:
    kept = _kept(layer)
    if not kept.exists() or not _one_device(kept, instance.state):
        return False
    key = f"given-{uuid.uuid4().hex}"
    mounts = client.ctr(instance, "snapshots", "prepare", "--mounts", key, *([parent] if parent else []))
    try:
        _link(kept / "fs", _top(mounts))
        client.ctr(instance, "snapshots", "commit", layer, key)
    except ClusterError:
        client.ctr(instance, "snapshots", "remove", key)
        raise
    return True


def _has(instance: Instance, layer: str) -> bool:
    try:
        client.ctr(instance, "snapshots", "info", layer)
    except ClusterError:
        return False
    return True


def _unpacked(instance: Instance, layer: str) -> Path:
    """Where containerd has the files of a snapshot's own layer."""
    key = f"seen-{uuid.uuid4().hex}"
    mounts = client.ctr(instance, "snapshots", "view", "--mounts", key, layer)
    with contextlib.suppress(ClusterError):  # nothing holds it: containerd may have removed it already
        client.ctr(instance, "snapshots", "remove", key)
    return _top(mounts)


def _top(mounts: str) -> Path:
    """The directory of the uppermost layer in the mounts of an overlay's snapshot."""
    (mount,) = json.loads(mounts)
    if mount["Type"] == "bind":
        return Path(mount["Source"])
    options = dict(option.partition("=")[::2] for option in mount["Options"])
    return Path(options.get("upperdir") or options["lowerdir"].partition(":")[0])


def _link(source: Path, target: Path) -> None:
    """The same tree of the same files: of directories alone there are two, with the same attributes."""
    run(["cp", "--archive", "--link", f"{source}/.", target])


def _directory() -> Path:
    path = cache.directory() / "layers"
    path.mkdir(exist_ok=True)
    return path


def _kept(layer: str) -> Path:
    return _directory() / layer.removeprefix("sha256:")


def _one_device(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def _prune(directory: Path) -> None:
    for path in directory.iterdir():
        if time.time() - path.stat().st_mtime > _UNUSED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
