"""The cluster's own images, as archives of static programs; there is no registry to pull them from."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import cache, config, packages
from e2e.cluster.shell import run

HELPER = "localhost/codesession-e2e-helper:1"
COREDNS = "localhost/codesession-e2e-coredns:1"


@dataclass(frozen=True, slots=True)
class Image:
    """`files` maps a path in the image to a file of this machine, `links` a path to its target."""

    name: str
    entrypoint: Sequence[str]
    files: Mapping[str, Path]
    links: Mapping[str, str]


def own_images() -> list[Image]:
    return [
        Image(config.PAUSE_IMAGE, ["/pause"], {"pause": cache.binary("pause")}, {}),
        helper(),
        Image(COREDNS, ["/coredns"], {"coredns": cache.binary("coredns")}, {}),
    ]


def helper() -> Image:
    """A shell and its tools: for the local-path provisioner, and for tests that need just any program.

    Busybox's `wget` crashes without glibc's name service modules, which a static image lacks; `nc` does not.
    """
    tools = set(run([packages.BUSYBOX, "--list"]).split()) - {"busybox"}
    links = {f"bin/{tool}": "/bin/busybox" for tool in sorted(tools)}
    return Image(HELPER, ["/bin/sh"], {"bin/busybox": Path(packages.BUSYBOX)}, links)


def write(image: Image, target: Path) -> None:
    """A docker archive (one layer), as `ctr images import` reads it."""
    content = layer(image)
    digest = hashlib.sha256(content).hexdigest()
    description = {
        "architecture": _architecture(),
        "os": "linux",
        "config": {"Entrypoint": list(image.entrypoint), "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    blob = json.dumps(description).encode()
    config_name = f"{hashlib.sha256(blob).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [image.name], "Layers": [f"{digest}/layer.tar"]}]
    entries = {
        config_name: blob,
        f"{digest}/layer.tar": content,
        "manifest.json": json.dumps(manifest).encode(),
    }
    with tarfile.open(target, "w") as archive:
        for name, data in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def layer(image: Image) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            archive.addfile(folder)
        for name, source in image.files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = source.stat().st_size, 0o755
            with source.open("rb") as content:
                archive.addfile(entry, content)
        for name, target in image.links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return buffer.getvalue()


def _architecture() -> str:
    return run(["go", "env", "GOARCH"]).strip()
