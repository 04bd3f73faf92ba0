"""The command line as a person has it, against either backend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.clients import cities
from e2e.targets import Target
from e2e.tests.conftest import PATIENCE

pytestmark = pytest.mark.sandbox


def codesession(target: Target, *words: str | Path) -> subprocess.CompletedProcess[str]:
    server = {"CODESESSION_URL": target.url}
    if target.key:
        server["CODESESSION_API_KEY"] = target.key
    command = [str(Path(sys.executable).with_name("codesession")), *map(str, words)]
    return subprocess.run(
        command, env=os.environ | server, capture_output=True, text=True, timeout=PATIENCE * 2
    )


def test_a_script_reads_a_file_and_its_plot_is_fetched(target: Target, tmp_path: Path) -> None:
    script, data, out = tmp_path / "script.py", tmp_path / cities.NAME, tmp_path / "out"
    script.write_text(cities.SCRIPT)
    data.write_text(cities.CITIES)
    done = codesession(target, "exec", script, "--file", data, "--out", out)
    assert (done.returncode, done.stdout) == (0, f"{cities.TOTAL}\n"), done.stderr
    assert [path.name for path in out.iterdir()] == ["plot.png"]
    assert (out / "plot.png").read_bytes().startswith(cities.PNG)


def test_the_exit_status_is_the_programs(target: Target, tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text("echo out; echo err >&2; exit 3")
    done = codesession(target, "exec", script)
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert "err" in done.stderr
