"""Every example says what it should, on the embedded default."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.targets import Target

EXAMPLES = Path(__file__).parents[2] / "examples"
SAID = {
    "01-hello.py": r"it printed '42\\n' and exited with 0\nit exited with 1: ZeroDivisionError: .*\n",
    "02-file-in-plot-out.py": r"42 sold\nwrote sales\.png, path\.stat\(\)\.st_size > 1000 = True\n",
    "03-live-session.py": r"2 12\.57\narea\.txt\nThere is no such session\.\n",
    "04-streaming.py": r"step 0\nstep 1\nstep 2\nfiles: \['report\.txt'\]\nexit code: 0\n",
    "05-many-in-parallel.py": r"\[0, 1, 4, 9, 16, 25\]\n",
}


def test_every_example_is_run() -> None:
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == sorted(SAID)


@pytest.mark.sandbox
@pytest.mark.parametrize("name", SAID)
def test_an_example_does_what_it_says(name: str, environment: Target, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *([str(tmp_path)] if name.startswith("02") else [])],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stderr == ""
    assert re.fullmatch(SAID[name], done.stdout), done.stdout
