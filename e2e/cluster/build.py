"""Builds components into a folder of the cache, once per go.sum, recipe and Go version."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from e2e.cluster.components import Component
from e2e.cluster.errors import ClusterError
from e2e.cluster.locks import held
from e2e.cluster.progress import say, step
from e2e.cluster.shell import run

_FLAGS = ("-trimpath", "-buildvcs=false")
_ENVIRONMENT = {"CGO_ENABLED": "0"}


def component(item: Component, cache: Path) -> Path:
    """The folder of the component's executables and assets."""
    target = cache / f"{item.name}-{key(item, go_version())}"
    if target.is_dir():
        return target
    with held(cache / f"{item.name}.lock"):
        if not target.is_dir():
            with step(f"build {item.name}"):
                _build(item, target)
    return target


def key(item: Component, go: str) -> str:
    """Changes whenever what comes out could."""
    digest = hashlib.sha256(f"{item!r}\0{go}\0{_FLAGS}\0{_ENVIRONMENT}\0".encode())
    for file in sorted(item.folder.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@functools.cache
def go_version() -> str:
    return run(["go", "env", "GOVERSION", "GOOS", "GOARCH"]).strip()


def _build(item: Component, target: Path) -> None:
    for leftover in target.parent.glob(f".{item.name}-*"):
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{item.name}-") as name:
        work, output = Path(name) / "module", Path(name) / "out"
        shutil.copytree(item.folder, work)
        output.mkdir()
        if item.patches:
            run(["go", "mod", "vendor"], cwd=work)
            _patch(item, work / "vendor")
        for binary, package in item.binaries.items():
            _compile(item, package, work, output / binary)
        for asset, (module, path) in item.assets.items():
            source = run(["go", "list", "-m", "-f", "{{.Dir}}", module], cwd=work).strip()
            shutil.copytree(Path(source) / path, output / asset, copy_function=shutil.copyfile)
        output.rename(target)


def _compile(item: Component, package: str, work: Path, target: Path) -> None:
    mode = "-mod=vendor" if item.patches else "-mod=readonly"
    flags = [*_FLAGS, mode, f"-ldflags={item.ldflags}", "-o", str(target)]
    say(f"  {target.name}")
    # Nice: the machine may be somebody's desk.
    run(["nice", "go", "build", *flags, package], cwd=work, env=os.environ | _ENVIRONMENT)


def _patch(item: Component, vendor: Path) -> None:
    for patch in item.patches:
        file = vendor / patch.file
        text = file.read_text()
        if text.count(patch.old) != 1:
            raise ClusterError(f"{patch.file} has changed: its patch no longer fits")
        file.write_text(text.replace(patch.old, patch.new))
