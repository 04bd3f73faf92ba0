"""Writes what the images have of Python packages, in CycloneDX, into build/: `python -m images.sbom`.

One file an image, `codesession-NAME.cdx.json`, from its lock, with the hashes that pip checks when the image
is built. An image without a lock has no file, and packages of Debian are in none: their versions are the
distribution's on the day of the build, so only a look into the image tells them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

from images.plan import IMAGES, ROOT, Image
from images.wheels import PYTHON

_TARGET = {
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "os_name": "posix",
    "platform_system": "Linux",
    "sys_platform": "linux",
    "python_version": PYTHON,
    "python_full_version": f"{PYTHON}.0",
}
"""Of every image, whatever runs this."""


def pins(requirements: str) -> dict[str, str]:
    """The requirements of a lock that an image installs, each by its name: a line, with its hashes."""
    found = {}
    for line in requirements.replace("\\\n", " ").splitlines():
        requirement = Requirement(line.partition("--hash")[0])
        if requirement.marker is None or requirement.marker.evaluate(_TARGET):
            found[requirement.name] = line
    return found


def document(requirements: str) -> str:
    """The lock's pins as a CycloneDX document. Raises CalledProcessError, with stderr in it."""
    # Warnings: what the root component depends on is not said, as a lock does not tell.
    tool = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", "--output-reproducible"]
    return subprocess.run(
        [*tool, "--pyproject", str(ROOT / "pyproject.toml"), "-"],
        input="\n".join(pins(requirements).values()),
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def write(images: tuple[Image, ...], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for image in images:
        if image.requirements is not None:
            written.append(folder / f"codesession-{image.name}.cdx.json")
            written[-1].write_text(document((ROOT / image.requirements).read_text()))
    return written


if __name__ == "__main__":
    for path in write(IMAGES, ROOT / "build"):
        print(path.relative_to(ROOT))  # noqa: T201
