"""Pins every dependency with its hashes, for all platforms: `python -m requirements.lock`.

The lock is uv's, in the requirements format: unlike `uv.lock` it names no index, so that a mirror serves it
as well as the public one does.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
GROUPS: dict[str, list[str]] = {
    "dev": ["--group", "dev", "--extra", "traces", "pyproject.toml"],
    "service": ["--extra", "traces", "pyproject.toml", "-c", "requirements/dev.txt"],
    "sandbox": ["--group", "sandbox"],
    # Dependencies are of the image's distribution.
    "sandbox-full": ["--group", "sandbox-full", "--no-deps"],
    "uv": ["--group", "lock"],
}


def main() -> int:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    for name, sources in GROUPS.items():
        target = HERE / f"{name}.txt"
        options = ["--quiet", "--universal", "--generate-hashes", "--no-annotate", "--no-header"]
        command = [uv, "pip", "compile", *options, "--output-file", str(target), *sources]
        subprocess.run(command, cwd=HERE.parent, check=True)
        print(f"{target.relative_to(HERE.parent)}: {target.read_text().count('==')} pins")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
