"""Tells `importlib.metadata` of the project, whose sources an image has without an installation.

`python3 distribution.py PYPROJECT DIRECTORY`, the directory being one of sys.path.
"""

import sys
import tomllib
from pathlib import Path

pyproject, directory = map(Path, sys.argv[1:])
project = tomllib.loads(pyproject.read_text())["project"]
about = directory / f"{project['name']}-{project['version']}.dist-info"
about.mkdir()
(about / "METADATA").write_text(
    f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
)
