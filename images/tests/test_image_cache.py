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


def test_the_archives_used_last_are_kept() -> None:
    for age in range(5):
        path = cache.archive("api", f"key{age}")
        path.write_text("")
        os.utime(path, (1000 - age, 1000 - age))
    cache.archive("operator", "key").write_text("")
    cache.prune("api")
    assert sorted(path.name for path in cache.directory().glob("*.tar")) == [
        "api-key0.tar",
        "api-key1.tar",
        "api-key2.tar",
        "operator-key.tar",
    ]
