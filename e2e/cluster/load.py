"""Image archives into the node's containerd, each once."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

from e2e.cluster import client, layers
from e2e.cluster.errors import ClusterError
from e2e.cluster.instance import Instance
from e2e.cluster.packed import Packed, read
from e2e.cluster.progress import step

_LABEL = "codesession.dev/archive"
_INDEXES = ("index.json", "manifest.json")


def load(instance: Instance, archive: Path) -> None:
    """Import it unless its images are there with the same content. Raises ClusterError."""
    identity = digest(archive)
    if client.ctr(instance, "images", "list", "--quiet", f'labels."{_LABEL}"=={identity}').strip():
        return
    with step(f"load {archive.name}"):
        packed = read(archive)
        if packed is None:
            client.ctr(instance, "images", "import", f"--label={_LABEL}={identity}", archive.resolve())
        else:
            _load(instance, packed, f"{_LABEL}={identity}")


def _load(instance: Instance, packed: Packed, label: str) -> None:
    """With those layers that a cluster of this machine unpacked before; the others are kept for the next."""
    given = range(layers.give(instance, packed.chain))
    client.import_image(instance, label, lambda target: packed.write(target, without=given))
    layers.keep(instance, packed.chain)


def digest(archive: Path) -> str:
    """Of the archive's index, which names its images and, by their digests, everything in them."""
    try:
        with tarfile.open(archive) as tar:
            found = {name: tar.extractfile(name) for name in tar.getnames() if name in _INDEXES}
            texts = [file.read() for _, file in sorted(found.items()) if file]
    except OSError as error:
        raise ClusterError(f"{archive}: {error.strerror}") from error
    except tarfile.TarError:
        texts = []
    if not texts:
        raise ClusterError(f"{archive} is no image archive")
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:32]
