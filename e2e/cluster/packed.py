"""What is in an image archive, and the same image for containerd without the layers that it has already."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_GZIP = b"\x1f\x8b"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True)
class Packed:
    """An image of a Docker archive whose layers are plain tars: their digests are those of their contents."""

    archive: Path
    references: tuple[str, ...]
    config: bytes
    layers: tuple[tuple[str, str, int], ...]
    """From the lowest: digest, name in the archive, bytes."""

    @property
    def chain(self) -> list[str]:
        """What containerd calls the snapshot of each layer upon those below it."""
        return list(_chain([digest for digest, _, _ in self.layers]))

    def write(self, target: IO[bytes], without: Collection[int] = ()) -> None:
        """As an OCI layout in a tar, all but the layers of these indexes."""
        config, manifest = self.config, json.dumps(self._manifest()).encode()
        with tarfile.open(fileobj=target, mode="w|") as tar:
            _add(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
            _add(tar, "index.json", json.dumps(self._index(manifest)).encode())
            for blob in (manifest, config):
                _add(tar, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
            self._copy_layers(tar, without)

    def _copy_layers(self, target: tarfile.TarFile, without: Collection[int]) -> None:
        with tarfile.open(self.archive) as source:
            for number, (digest, name, size) in enumerate(self.layers):
                if number not in without:
                    entry = tarfile.TarInfo(f"blobs/sha256/{digest.removeprefix('sha256:')}")
                    entry.size = size
                    target.addfile(entry, source.extractfile(name))

    def _manifest(self) -> dict[str, Any]:
        layers = [{"mediaType": _LAYER, "digest": digest, "size": size} for digest, _, size in self.layers]
        config = _described(_CONFIG, self.config)
        return {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": layers}

    def _index(self, manifest: bytes) -> dict[str, Any]:
        described = _described(_MANIFEST, manifest)
        named = [described | {"annotations": {"io.containerd.image.name": name}} for name in self.references]
        return {"schemaVersion": 2, "manifests": named}


def read(archive: Path) -> Packed | None:
    """None of what is no Docker archive of one image with plain layers."""
    with tarfile.open(archive) as tar:
        members = {member.name: member for member in tar.getmembers()}
        if "manifest.json" not in members or "index.json" in members:
            return None
        entries = json.loads(_content(tar, "manifest.json"))
        if len(entries) != 1:
            return None
        config = _content(tar, entries[0]["Config"])
        names = entries[0]["Layers"]
        if any(_content(tar, name, 2) == _GZIP for name in names):
            return None
        sizes = [_size(tar, members[name]) for name in names]
    digests = json.loads(config)["rootfs"]["diff_ids"]
    references = tuple(entries[0]["RepoTags"] or ())
    return Packed(archive, references, config, tuple(zip(digests, names, sizes, strict=True)))


def _chain(digests: list[str]) -> Iterator[str]:
    above = ""
    for digest in digests:
        above = f"sha256:{hashlib.sha256(f'{above} {digest}'.encode()).hexdigest()}" if above else digest
        yield above


def _content(tar: tarfile.TarFile, name: str, size: int = -1) -> bytes:
    file = tar.extractfile(name)
    return file.read(size) if file else b""


def _size(tar: tarfile.TarFile, member: tarfile.TarInfo) -> int:
    """Of what it leads to, where it is a link to a layer of before."""
    while member.issym() or member.islnk():
        base = Path(member.name).parent if member.issym() else Path()
        parts: list[str] = []
        for part in (base / member.linkname).parts:
            parts = parts[:-1] if part == ".." else [*parts, part]
        member = tar.getmember("/".join(parts))
    return member.size


def _described(kind: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)}


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
