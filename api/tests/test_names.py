from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesession_api import names

odd = st.text(st.characters(exclude_categories=()), max_size=60)
paths = st.lists(st.one_of(odd, st.sampled_from(["..", ".", "", "a", "\x00", "ü" * 200])), max_size=8).map(
    "/".join
)


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("data.csv", "data.csv"),
        ("my data.csv", "my data.csv"),
        ("skills/pdf/scripts/run.py", "skills/pdf/scripts/run.py"),
        ("données-日本-😀.csv", "données-日本-😀.csv"),
        ("e\u0301.txt", "e\u0301.txt"),
        ("./a//b/./c.txt", "a/b/c.txt"),
        ("/etc/passwd", "passwd"),
        ("../../etc/passwd", "passwd"),
        ("a/../b.txt", "b.txt"),
        ("a/..", "file"),
        ("..", "file"),
        ("", "file"),
        ("/", "file"),
        ("a\nb\x00c\x7f.txt", "a_b_c_.txt"),
        ("lone\ud800.txt", "lone_.txt"),
        ("...", "..."),
        ("..hidden", "..hidden"),
        ("back\\slash", "back\\slash"),
        ("trailing/", "trailing"),
        ("..\\..\\win.ini", "win.ini"),
        ("C:\\a\\..\\b.txt", "b.txt"),
        (".\\b.txt", "b.txt"),
        ("d/.. /b.txt", "b.txt"),
        ("..\\", "file"),
        ("." + " " * 300 + "x", "file"),
        ("x" * 300 + ".csv", "x" * 251 + ".csv"),
        ("ü" * 200 + ".csv", "ü" * 125 + ".csv"),
        ("x." + "y" * 300, "x." + "y" * 253),
        ("/".join(["d" * 250] * 4) + "/f.csv", "f.csv"),
    ],
)
def test_what_becomes_of_a_name(given_name: str, kept: str) -> None:
    assert names.clean(given_name) == kept


@given(paths)
def test_a_cleaned_name_is_safe_and_stays_as_it_is(name: str) -> None:
    kept = names.clean(name)
    parts = kept.split("/")
    assert names.clean(kept) == kept
    assert names.fits(kept)
    assert not {".", ".."} & {segment.strip(" ") for segment in re.split(r"[/\\]", kept)}
    assert all(parts)
    assert all(len(part.encode()) <= names.MAX_COMPONENT_BYTES for part in parts)
    assert len(kept.encode()) <= names.MAX_NAME_BYTES
    assert all(char.isprintable() or char.isspace() or ord(char) > 127 for char in kept)


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a/../x", "a//x", "a/./x", "nul\x00", "b\udcffad", "x" * 256, ""]
)
def test_what_a_sandbox_must_not_call_a_file(name: str) -> None:
    assert not names.fits(name)


@pytest.mark.parametrize(
    ("name", "extension"),
    [("a.csv", ".csv"), ("d.d/plain", ""), (".bashrc", ""), ("a.tar.gz", ".gz"), ("dot.", ""), ("d/.x", "")],
)
def test_extensions(name: str, extension: str) -> None:
    assert names.extension(name) == extension
