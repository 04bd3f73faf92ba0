"""Image archives into the node's containerd, each once."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

from e2e.cluster import client
from e2e.cluster.errors import ClusterError
from e2e.cluster.instance import Instance
from e2e.cluster.progress import step

_LABEL = "codesession.dev/archive"
_INDEXES = ("index.json", "manifest.json")


def load(instance: Instance, archive: Path) -> None:
    """Import it unless its images are there with the same content. Raises ClusterError."""
    identity = digest(archive)
    if client.ctr(instance, "images", "list", "--quiet", f'labels."{_LABEL}"=={identity}').strip():
        return
    with step(f"load {archive.name}"):
        label = f"--label={_LABEL}={identity}"
        client.ctr(instance, "images", "import", label, archive.resolve())


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
