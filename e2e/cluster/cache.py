"""Where built things are kept between runs and checkouts: `$CODESESSION_CACHE`, or `~/.cache/codesession`."""

from __future__ import annotations

import os
from pathlib import Path

from e2e.cluster import build, components
from e2e.cluster.locks import held as lock

__all__ = ["binary", "build_all", "directory", "folder", "lock"]


def directory() -> Path:
    """The cache's folder, made if it is missing."""
    path = Path(os.environ.get("CODESESSION_CACHE") or Path.home() / ".cache" / "codesession")
    path.mkdir(parents=True, exist_ok=True)
    return path


def binary(name: str) -> Path:
    """A cluster component's executable, built first if it must be. Raises ClusterError."""
    return build.component(components.providing(name), directory() / "bin") / name


def folder(component: str) -> Path:
    """Everything that was built of a component, executables and assets."""
    return build.component(components.named(component), directory() / "bin")


def build_all() -> None:
    for component in components.all_components():
        build.component(component, directory() / "bin")
