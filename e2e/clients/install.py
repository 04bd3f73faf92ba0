"""Installs the real clients into the cache: `@librechat/agents`, and just what its code tools import; and the
MCP TypeScript SDK, what reads LibreChat's settings, and what builds the playground, which are locked whole.

The full dependency tree of a release is half a gigabyte, so its tarball is unpacked beside a locked, smaller
set (`agents-<version>/`). Both are checked against committed digests.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from e2e.cluster import cache

HERE = Path(__file__).parent
PLAYGROUND = HERE.parents[1] / "api/playground"
LEGACY = ("2.4.85", "3.1.63")
VERSIONS = (*LEGACY, "3.2.57", "3.9.2")


class InstallError(Exception):
    """What npm said, or which digest is wrong."""


def installed(version: str) -> Path:
    """The folder with LibreChat's client of this version and the driver in it, made at first use."""
    return _put_driver(_installed(HERE / f"agents-{version}", version, _unpack_agents), "driver.mjs")


def model_context() -> Path:
    """The same with the MCP TypeScript SDK."""
    return _put_driver(_installed(HERE / "mcp", "mcp"), "mcp.mjs")


def librechat_settings() -> Path:
    """The same with what LibreChat reads its librechat.yaml with, of two releases."""
    return _put_driver(_installed(HERE / "librechat-settings", "settings"), "settings.mjs")


def playground() -> Path:
    """A folder with the packages that the playground is built from and by."""
    return _installed(PLAYGROUND, "playground")


def _installed(locked: Path, name: str, finish: Callable[[Path], None] = lambda folder: None) -> Path:
    """The packages of a folder's lock file."""
    files = [locked / "package-lock.json", locked / "package.json"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    target = cache.directory() / "clients" / f"{name}-{digest[:16]}"
    with cache.lock(target.with_suffix(".lock")):
        if not target.exists():
            _install(files, target, finish)
    return target


def _install(files: Sequence[Path], target: Path, finish: Callable[[Path], None]) -> None:
    staging = target.with_suffix(".new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    for file in files:
        shutil.copy(file, staging)
    _npm("ci", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund", cwd=staging)
    finish(staging)
    staging.rename(target)


def _unpack_agents(folder: Path) -> None:
    wanted = json.loads((folder / "package.json").read_text())["agents"]
    packed = json.loads(_npm("pack", "--json", wanted["package"], cwd=folder))
    # npm 11 gives an object by name, older ones a list.
    (description,) = packed if isinstance(packed, list) else packed.values()
    if description["integrity"] != wanted["integrity"]:
        raise InstallError(f"{wanted['package']}: not the bytes that this suite was written against")
    tarball = folder / description["filename"]
    prefix = "package/dist/esm/"
    with tarfile.open(tarball) as archive:
        members = [member for member in archive if member.name.startswith(prefix)]
        for member in members:
            member.name = member.name.removeprefix(prefix)
        archive.extractall(folder / "agents" / "esm", members=members, filter="data")
    tarball.unlink()


def _put_driver(target: Path, driver: str) -> Path:
    """A copy, since an ES module finds packages from where it lies; renamed, as others may be starting it."""
    fresh = target / f"driver.{os.getpid()}.mjs"
    shutil.copy(HERE / driver, fresh)
    fresh.rename(target / "driver.mjs")
    return target


def _npm(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(["npm", *arguments], cwd=cwd, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise InstallError(f"npm {arguments[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
