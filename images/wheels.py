"""The services' wheels, fetched on this machine: pip here knows its index, proxy and certificates, and a pip
inside a build container does not."""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
from pathlib import Path

from images import process

PYTHON = "3.13"
"""Of the image, whatever runs this."""
_GLIBC = ("2_28", "2_17")


def fetch(requirements: Path, cache: Path) -> Path:
    """A directory with the wheel of every requirement, verified against its hash."""
    wanted = f"{PYTHON} {platform.machine()} {requirements.read_text()}"
    done = cache / f"wheels-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
    if not done.exists():
        partial = done.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        process.run([*_pip(cache), *_download(requirements, partial)])
        partial.replace(done)
    return done


def _download(requirements: Path, target: Path) -> list[str]:
    platforms = [f"--platform=manylinux_{glibc}_{platform.machine()}" for glibc in _GLIBC]
    kind = ["--only-binary=:all:", "--no-deps", f"--python-version={PYTHON}", *platforms]
    return [
        "download",
        "--quiet",
        *kind,
        "--require-hashes",
        "--requirement",
        str(requirements),
        "--dest",
        str(target),
    ]


def _pip(cache: Path) -> list[str]:
    """The running interpreter's pip, or that of an environment made for it: Debian's own Python has none."""
    if process.succeeds([sys.executable, "-m", "pip", "--version"]):
        return [sys.executable, "-m", "pip"]
    venv = cache / "pip"
    if not (venv / "bin" / "pip").exists():
        process.run([sys.executable, "-m", "venv", "--clear", str(venv)])
    return [str(venv / "bin" / "pip")]
