"""Archives: those that the cluster writes itself, and how one is told from another."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from e2e.cluster import archives, load
from e2e.cluster.errors import ClusterError


@pytest.fixture
def image(tmp_path: Path) -> archives.Image:
    (tmp_path / "program").write_bytes(b"program")
    return archives.Image(
        "localhost/image:1", ["/program"], {"program": tmp_path / "program"}, {"sh": "program"}
    )


def tar(path: Path, **files: str) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name.replace("_", "."))
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


def test_an_archive_names_its_parts_by_their_digests(image: archives.Image, tmp_path: Path) -> None:
    archives.write(image, tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as archive:
        read = {name: file.read() for name in archive.getnames() if (file := archive.extractfile(name))}
    (manifest,) = json.loads(read["manifest.json"])
    assert manifest["RepoTags"] == ["localhost/image:1"]
    assert manifest["Config"] == f"{hashlib.sha256(read[manifest['Config']]).hexdigest()}.json"
    (layer,) = manifest["Layers"]
    digest = hashlib.sha256(read[layer]).hexdigest()
    assert json.loads(read[manifest["Config"]])["rootfs"]["diff_ids"] == [f"sha256:{digest}"]


def test_the_same_image_is_the_same_archive(image: archives.Image, tmp_path: Path) -> None:
    archives.write(image, tmp_path / "one.tar")
    archives.write(image, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_a_layer_has_programs_links_and_a_writable_tmp(image: archives.Image) -> None:
    with tarfile.open(fileobj=io.BytesIO(archives.layer(image))) as layer:
        assert layer.getmember("program").mode == 0o755
        assert layer.getmember("sh").linkname == "program"
        assert layer.getmember("tmp").mode == 0o1777


def test_an_archive_is_known_by_what_it_holds(tmp_path: Path) -> None:
    one = load.digest(tar(tmp_path / "one.tar", manifest_json="[1]"))
    assert load.digest(tar(tmp_path / "renamed.tar", manifest_json="[1]")) == one
    assert load.digest(tar(tmp_path / "other.tar", manifest_json="[2]")) != one
    assert load.digest(tar(tmp_path / "oci.tar", index_json="[1]", manifest_json="[1]")) != one


def test_what_is_no_image_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    for path in (tmp_path / "text", tmp_path / "missing", tar(tmp_path / "empty.tar", readme="")):
        with pytest.raises(ClusterError, match=path.name) as caught:
            load.digest(path)
        assert "\n" not in str(caught.value)
