from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from images import cache


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESESSION_CACHE", str(tmp_path))


def test_an_archive_that_failed_half_way_is_not_there() -> None:
    target = cache.archive("api", "key")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cache.write(target, fail)
    assert not target.exists()
    cache.write(target, lambda path: shutil.copy(__file__, path))
    assert target.read_text() == Path(__file__).read_text()
    assert [path.name for path in cache.directory().iterdir()] == ["api-key.tar"]


def test_what_a_killed_build_left_is_removed() -> None:
    (cache.directory() / ".partial-x").mkdir()
    with cache.locked():
        assert not (cache.directory() / ".partial-x").exists()


def used(name: str, key: str, ago: int) -> None:
    path = cache.archive(name, key)
    path.write_text("")
    os.utime(path, (1000 - ago, 1000 - ago))


def test_the_archives_used_last_are_kept() -> None:
    keys = [f"{number:016x}" for number in range(5)]
    for age, key in enumerate(keys):
        used("api", key, age)
    used("operator", keys[0], 9)
    cache.prune("api", kept=3)
    assert sorted(path.name for path in cache.directory().glob("*.tar")) == [
        *(f"api-{key}.tar" for key in keys[:3]),
        f"operator-{keys[0]}.tar",
    ]


def test_an_image_whose_name_begins_another_leaves_that_ones_archives() -> None:
    for age, key in enumerate([f"{number:016x}" for number in range(4)]):
        used("sandbox", key, age)
    used("sandbox-full", "f" * 16, 9)
    cache.prune("sandbox", kept=1)
    assert sorted(path.name for path in cache.directory().glob("*.tar")) == [
        f"sandbox-{0:016x}.tar",
        f"sandbox-full-{'f' * 16}.tar",
    ]
