"""Builds components into the cache, once per go.sum, recipe and Go version."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from e2e.cluster import cache
from e2e.cluster.components import Component, all_components
from e2e.cluster.errors import ClusterError
from e2e.cluster.progress import say, step
from e2e.cluster.shell import run


def everything() -> None:
    for item in all_components():
        component(item)


def component(item: Component) -> Path:
    """The folder of the component's executables."""
    target = cache.directory() / "bin" / f"{item.name}-{key(item, go_version())}"
    if target.is_dir():
        return target
    with cache.lock(cache.directory() / "bin" / f"{item.name}.lock"):
        if not target.is_dir():
            with step(f"build {item.name}: {', '.join(item.binaries)}"):
                _build(item, target)
    return target


def module_folder(name: str, module: str) -> Path:
    """Where the sources of a module that component `name` is pinned to lie; fetched if they must be."""
    item = next(item for item in all_components() if item.name == name)
    with tempfile.TemporaryDirectory() as work:
        shutil.copytree(item.folder, work, dirs_exist_ok=True)
        run(["go", "mod", "download", module], cwd=Path(work))
        return Path(run(["go", "list", "-m", "-f", "{{.Dir}}", module], cwd=Path(work)).strip())


def key(item: Component, go: str) -> str:
    """Changes whenever what comes out could."""
    digest = hashlib.sha256()
    for part in (
        (item.folder / "go.mod").read_bytes(),
        (item.folder / "go.sum").read_bytes(),
        repr(item).encode(),
        go.encode(),
    ):
        digest.update(part + b"\0")
    return digest.hexdigest()[:16]


def go_version() -> str:
    return run(["go", "env", "GOVERSION", "GOOS", "GOARCH"]).strip()


def _build(item: Component, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{item.name}-") as name:
        work, output = Path(name) / "module", Path(name) / "out"
        shutil.copytree(item.folder, work)
        output.mkdir()
        mode = "-mod=readonly"
        if item.patches:
            run(["go", "mod", "vendor"], cwd=work)
            _patch(item, work / "vendor")
            mode = "-mod=vendor"
        environment = os.environ | {"CGO_ENABLED": "0"}
        for binary, package in item.binaries.items():
            say(f"  {binary}")
            flags = [mode, "-trimpath", f"-ldflags={item.ldflags}", "-o", str(output / binary)]
            run(["go", "build", *flags, package], cwd=work, env=environment)
        output.rename(target)


def _patch(item: Component, vendor: Path) -> None:
    for patch in item.patches:
        file = vendor / patch.file
        text = file.read_text()
        if text.count(patch.old) != 1:
            raise ClusterError(f"{patch.file} has changed: its patch no longer fits")
        file.write_text(text.replace(patch.old, patch.new))
