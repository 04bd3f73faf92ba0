"""The parts of the runner that need no process: settings, ring, scan, languages, processes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from codesession_runner.interpreters import imports_packages
from codesession_runner.kernel import counts_namespace
from codesession_runner.languages import KNOWN, NAMES, available
from codesession_runner.paths import MAX_DEPTH, is_path
from codesession_runner.processes import is_descendant
from codesession_runner.ring import Ring
from codesession_runner.scan import MAX_ENTRIES, Snapshot, differences, scan
from codesession_runner.settings import Settings, SettingsError, user_environment
from sandbox_programs import BROKEN, PROGRAMS


def test_settings_come_from_their_variables() -> None:
    settings = Settings.from_environment(
        {
            "CODESESSION_RUN_SECONDS": "1.5",
            "CODESESSION_FILES": "7",
            "CODESESSION_LANGUAGES": "py, bash,",
            "CODESESSION_WORKSPACE": "/w",
            "CODESESSION_UNKNOWN": "x",
            "FILES": "9",
        }
    )
    assert (settings.run_seconds, settings.files, settings.workspace) == (1.5, 7, "/w")
    assert settings.languages == ("py", "bash")
    assert Settings.from_environment({}) == Settings()


@pytest.mark.parametrize("value", ["x", "", "-1", "1.5", "99999999999999999999"])
def test_settings_that_make_no_sense_are_named(value: str) -> None:
    with pytest.raises(SettingsError, match="CODESESSION_FILES"):
        Settings.from_environment({"CODESESSION_FILES": value})


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_numbers_that_are_none(value: str) -> None:
    with pytest.raises(SettingsError, match="CODESESSION_RUN_SECONDS"):
        Settings.from_environment({"CODESESSION_RUN_SECONDS": value})


def test_the_environment_of_user_code() -> None:
    given = {
        "PATH": "/bin",
        "CODESESSION_FILES": "1",
        "KUBERNETES_PORT": "x",
        "PYTHONPATH": "/x",
        "OMP_NUM_THREADS": "1",
    }
    assert user_environment(given) == {
        "PATH": "/bin",
        "OMP_NUM_THREADS": "1",
        "LANG": "C.UTF-8",
        "MPLBACKEND": "Agg",
    }


@pytest.mark.parametrize(
    ("code", "packages"),
    [
        ("print(1)", False),
        ("import os, sys\nfrom collections.abc import Mapping as M", False),
        ("import xml.dom.minidom as d; import json", False),
        ("from importlib import import_module", False),
        ("important = 1; fromage = 2", False),
        ("import numpy as np", True),
        ("import os,pandas", True),
        ("  from matplotlib import pyplot", True),
        ("import sys; import seaborn.palettes", True),
        ("from helper import f", True),
        ("from . import x", True),
        ("\xff import \xff", True),
    ],
)
def test_programs_that_import_packages(code: str, packages: bool) -> None:
    assert imports_packages(code.encode("latin-1")) is packages


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_ring_is_bounded_in_count_bytes_and_age() -> None:
    clock = Clock()
    ring: Ring[str] = Ring(count=3, size=100, seconds=10, clock=clock)
    for key in "abcd":
        ring.add(key, key.upper(), 1)
    assert [ring.get(key) for key in "abcd"] == [None, "B", "C", "D"]
    ring.add("e", "E", 99)
    assert [ring.get(key) for key in "bcde"] == [None, None, "D", "E"]
    ring.add("f", "F", 1000)
    assert [ring.get(key) for key in "def"] == [None, None, "F"]
    clock.now = 10.5
    assert ring.get("f") is None
    assert len(ring) == 0


def test_scan_sees_regular_files_only(tmp_path: Path) -> None:
    (tmp_path / "dir" / "__pycache__").mkdir(parents=True)
    for name in ("file", "dir/file", "dir/__pycache__/x.pyc", ".hidden", ".codesession-put-1"):
        (tmp_path / name).write_text("x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to(".")
    os.mkfifo(tmp_path / "fifo")
    snapshot = look(tmp_path)
    assert sorted(snapshot.files) == [".hidden", "dir/file", "file"]
    assert snapshot.complete


def test_scan_sees_what_a_path_can_name(tmp_path: Path) -> None:
    for depth in (MAX_DEPTH - 1, MAX_DEPTH):
        deep = tmp_path.joinpath(*["d"] * depth)
        deep.mkdir(parents=True, exist_ok=True)
        (deep / "file").write_text("x")
    long = tmp_path.joinpath(*["n" * 250] * 4)
    long.mkdir(parents=True)
    for name in ("short", "n" * 100):
        (long / name).write_text("x")
    snapshot = look(tmp_path)
    assert len(snapshot.files) == 2
    assert all(is_path(path) for path in snapshot.files)
    assert snapshot.complete


def test_scan_is_bounded(tmp_path: Path) -> None:
    wide = tmp_path / "wide"
    wide.mkdir()
    for number in range(10):
        (wide / f"{number}").write_text("")
    snapshot = look(wide, limit=5)
    assert len(snapshot.files) == 5
    assert not snapshot.complete


def test_differences_show_every_kind_of_change(tmp_path: Path) -> None:
    for name in ("kept", "grown", "rewritten", "replaced", "gone", "renamed"):
        (tmp_path / name).write_text("12345")
    before = look(tmp_path)
    (tmp_path / "grown").write_text("123456")
    (tmp_path / "rewritten").write_text("54321")
    (tmp_path / "new").write_text("54321")
    (tmp_path / "new").rename(tmp_path / "replaced")
    (tmp_path / "gone").unlink()
    (tmp_path / "renamed").rename(tmp_path / "name")
    assert differences(before, look(tmp_path)) == (
        ["grown", "name", "replaced", "rewritten"],
        ["gone", "renamed"],
    )


def test_nothing_is_called_deleted_when_not_all_was_seen(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}").write_text("")
    before = look(tmp_path)
    assert differences(before, look(tmp_path, limit=5)) == ([], [])


def test_languages_that_the_image_lacks_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(available(["bash", "py", "cobol"])) == ["bash", "py"]
    monkeypatch.setenv("PATH", "/nowhere")
    assert list(available(NAMES)) == ["py"]


def test_there_is_a_program_in_every_language() -> None:
    assert tuple(PROGRAMS) == NAMES
    compiled = {language.name for language in KNOWN if language.commands(b"").compile}
    assert set(BROKEN) == compiled


def test_a_language_needs_its_compiler_and_its_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for program, languages in [("javac", ["py"]), ("java", ["py", "java"]), ("gcc", ["py", "c", "java"])]:
        (tmp_path / program).touch(0o755)
        assert list(available(NAMES)) == languages


def test_commands_name_the_directories_of_the_run() -> None:
    known = {language.name: language for language in KNOWN}
    commands = known["c"].commands(b"").at("/tmp/run", "/w")
    assert (commands.file, commands.run) == ("main.c", ("/tmp/run/main",))
    assert "/w" in commands.compile
    java = known["java"].commands(b"public class Tool { void main() }").at("/tmp/run", "/w")
    assert (java.file, java.compile[-1]) == ("Tool.java", "Tool.java")
    assert java.run[-3:] == ("-cp", "/tmp/run:/w", "Tool")
    assert [name for name in NAMES if known[name].forked_ahead] == ["py"]


def test_descent_is_told_from_proc() -> None:
    with subprocess.Popen(["sleep", "600"]) as child:
        assert is_descendant(child.pid)
        assert not is_descendant(os.getppid())
        assert not is_descendant(1)
        child.kill()
    assert is_descendant(child.pid)


def look(directory: Path, limit: int = MAX_ENTRIES) -> Snapshot:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        return scan(descriptor, limit)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("release", "users", "alone"),
    [
        ("6.1.0-13-amd64", "      1000      65534          1\n", True),
        ("5.14.0", "0 1000 1", True),
        ("5.13.19-generic", "0 1000 1", False),
        ("6.1-custom", "         0          0 4294967295\n", False),
    ],
)
def test_where_the_kernel_counts_the_processes_of_a_sandbox(release: str, users: str, alone: bool) -> None:
    assert counts_namespace(release, users) is alone
