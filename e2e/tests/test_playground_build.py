"""The playground that is served is what its sources and lock file give."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from codesession_api.routes.playground import FILES
from e2e.clients import install


def test_the_page_that_is_committed_is_the_one_that_is_built(tmp_path: Path) -> None:
    """`make playground` makes it so."""
    source, made = tmp_path / "source", tmp_path / "made"
    shutil.copytree(install.PLAYGROUND, source, ignore=shutil.ignore_patterns("node_modules"))
    (source / "node_modules").symlink_to(install.playground() / "node_modules")
    npm(source, "run", "types")
    npm(source, "run", "build", "--", str(made))
    assert contents(made) == contents(FILES)


def npm(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["npm", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
