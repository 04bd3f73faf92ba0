"""Packages the chart into build/: `python -m charts.package [--registry REGISTRY]`; prints the path.

With a registry the values name the images of this version there, so that the package can be installed as it
is; without, they stay those that this repository builds.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from charts.crds import CHART, ROOT
from charts.render import helm

BUILD = ROOT / "build"
_BUILT_HERE = re.compile(r"\blocalhost/(codesession-[a-z-]+):dev\b")


def version() -> str:
    """Of the project: pyproject.toml is where it is said."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def package(folder: Path, registry: str = "") -> Path:
    """The archive, below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as staging:
        chart = Path(shutil.copytree(CHART, Path(staging) / CHART.name))
        if registry:
            values = chart / "values.yaml"
            values.write_text(published(values.read_text(), registry))
        helm("package", str(chart), "--destination", str(folder))
    return folder / f"{CHART.name}-{version()}.tgz"


def published(values: str, registry: str) -> str:
    """The values with the images of this version in that registry."""
    return _BUILT_HERE.sub(rf"{registry}/\1:{version()}", values)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m charts.package", description=__doc__)
    parser.add_argument("--registry", default="", help="where the images are, such as ghcr.io/OWNER")
    archive = package(BUILD, parser.parse_args(arguments).registry)
    sys.stdout.write(f"{archive.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
