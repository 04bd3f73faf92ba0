"""What only the directory has to mind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from codesession_api.errors import ObjectsUnavailable
from codesession_api.objects.local import LocalObjects


async def some() -> AsyncIterator[bytes]:
    yield b"bytes"


def test_the_local_store_forgets_what_a_killed_process_left_half_written(tmp_path: Path) -> None:
    LocalObjects(tmp_path)
    (left,) = [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    (left / "abc").write_bytes(b"half")
    LocalObjects(tmp_path)
    assert list(left.iterdir()) == []


def test_a_place_that_cannot_be_used_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ObjectsUnavailable, match="cannot be used"):
        LocalObjects(tmp_path / "file" / "objects")


async def test_an_object_may_be_there_beside_those_below_its_key(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path)
    for key in ("t/s/f/a", "t/s/f/a/b"):
        await objects.put(key, some())
    assert [info.key async for info in objects.list("t/s/f/")] == ["t/s/f/a", "t/s/f/a/b"]


async def test_deleting_leaves_no_directories_behind(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path)
    await objects.put("t/s/f/a", some())
    assert await objects.delete("t/s/f/a")
    assert [path.name for path in tmp_path.iterdir()] == [".partial"]  # noqa: ASYNC240
