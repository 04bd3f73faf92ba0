from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesession.names import Target, safe

HOSTILE = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(["..", ".", "/", "\\", "a", "~", "\0", "C:", " ", "con", "é" * 150, ".png"])
    ).map("".join),
)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("plot.png", ("plot.png",)),
        ("results/Große Übersicht 1.csv", ("results", "Große Übersicht 1.csv")),
        (".profile", (".profile",)),
        ("../../etc/passwd", ("etc", "passwd")),
        ("/etc/passwd", ("etc", "passwd")),
        ("..\\..\\x.dll", (".._.._x.dll",)),
        ("C:\\x.dll", ("C__x.dll",)),
        ("a/./b/.. /c", ("a", "b", "c")),
        ("notes.txt:stream", ("notes.txt_stream",)),
        ("a\x00b\x1b[2J\n", ("a_b_[2J_",)),
        ("aux", ("_aux",)),
        ("COM1.txt", ("_COM1.txt",)),
        ("ends.", ("ends",)),
        ("con" + " " * 300 + "x", ("_con",)),
        ("con." + "x" * 250, ("_con." + "x" * 195,)),
        ("é" * 150 + ".png", ("é" * 98 + ".png",)),
        ("", ("file",)),
        ("..", ("file",)),
    ],
)
def test_a_name_is_left_as_it_is_where_that_is_safe(name: str, parts: tuple[str, ...]) -> None:
    assert safe(name) == parts


@given(HOSTILE)
def test_no_name_leads_anywhere_but_down(name: str) -> None:
    parts = safe(name)
    assert safe("/".join(parts)) == parts
    assert 1 <= len(parts) <= 16
    for part in parts:
        assert part not in ("", ".", "..")
        assert not set(part) & set("/\\:\0\n")
        assert len(part.encode()) <= 200


@given(name=HOSTILE)
def test_no_file_is_written_outside_its_folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    above = tmp_path_factory.mktemp("above")
    target = Target(above / "folder", name)
    target.write(b"x")
    written = target.commit()
    assert written.resolve().is_relative_to((above / "folder").resolve())
    assert [entry.name for entry in above.iterdir()] == ["folder"]
    assert [path for path in (above / "folder").rglob("*") if path.is_file()] == [written]


def test_a_directory_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "folder/link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotADirectoryError):
        Target(tmp_path / "folder", "link/below/x.txt")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_that_is_a_link_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "x").symlink_to(tmp_path / "mine")
    target = Target(tmp_path, "x")
    target.write(b"theirs")
    target.commit()
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "x").read_bytes() == b"theirs"
    assert not os.access(tmp_path / "x", os.X_OK)


def test_what_was_there_stays_when_a_download_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("before")
    target = Target(tmp_path, "x")
    target.write(b"ha")
    target.abandon()
    assert (tmp_path / "x").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
