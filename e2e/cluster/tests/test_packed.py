"""An archive of an image is taken apart and put together again without the layers that are there already."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster import packed

LAYERS = (b"lowest", b"middle", b"top")
DIGESTS = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in LAYERS]
CONFIG = json.dumps({"rootfs": {"type": "layers", "diff_ids": DIGESTS}}).encode()


def tar(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return path


def manifest(names: list[str]) -> bytes:
    entry = {"Config": "c.json", "RepoTags": ["localhost/x:dev"], "Layers": names}
    return json.dumps([entry]).encode()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    names = ["0.tar", "1.tar", "2/layer.tar"]
    files = {"0.tar": LAYERS[0], "1.tar": LAYERS[1], "top.tar": LAYERS[2], "c.json": CONFIG}
    files["manifest.json"] = manifest(names)
    return tar(tmp_path / "image.tar", files, {"2/layer.tar": "../top.tar"})


def written(image: packed.Packed, without: range) -> dict[str, bytes]:
    target = io.BytesIO()
    image.write(target, without)
    target.seek(0)
    with tarfile.open(fileobj=target) as made:
        return {name: file.read() for name in made.getnames() if (file := made.extractfile(name))}


def test_the_chain_is_containerds(archive: Path) -> None:
    image = packed.read(archive)
    assert image is not None
    lowest, middle, _ = image.chain
    assert lowest == DIGESTS[0]
    assert middle == f"sha256:{hashlib.sha256(f'{lowest} {DIGESTS[1]}'.encode()).hexdigest()}"


@pytest.mark.parametrize("given", [0, 1, 3])
def test_layers_that_are_there_are_left_out_and_nothing_else(archive: Path, given: int) -> None:
    image = packed.read(archive)
    assert image is not None
    files = written(image, range(given))
    (described,) = json.loads(files["index.json"])["manifests"]
    assert described["annotations"]["io.containerd.image.name"] == "localhost/x:dev"
    made: dict[str, Any] = json.loads(files[_blob(described["digest"])])
    assert files[_blob(made["config"]["digest"])] == CONFIG
    assert [layer["digest"] for layer in made["layers"]] == DIGESTS
    assert [layer["size"] for layer in made["layers"]] == [len(layer) for layer in LAYERS]
    assert [_blob(digest) in files for digest in DIGESTS] == [number >= given for number in range(3)]
    assert files.get(_blob(DIGESTS[2]), LAYERS[2]) == LAYERS[2]


@pytest.mark.parametrize(
    "files",
    [
        {"index.json": b"{}", "oci-layout": b"{}"},
        {"manifest.json": manifest(["0.tar"]), "c.json": CONFIG, "0.tar": gzip.compress(b"x")},
        {"manifest.json": b"[]"},
    ],
    ids=["OCI", "compressed", "empty"],
)
def test_another_archive_is_left_to_containerd(tmp_path: Path, files: dict[str, bytes]) -> None:
    assert packed.read(tar(tmp_path / "other.tar", files)) is None


def _blob(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
