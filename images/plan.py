"""The images of this repository, and what each is made from."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from images import dockerfile

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Image:
    """`dockerfile` and `packages` (lists of its base's Debian packages) are relative to the root."""

    name: str
    dockerfile: str
    target: str
    packages: tuple[str, ...]
    requirements: str | None = None
    """Python packages with their hashes, fetched for the stage `wheels`."""
    on_demand: bool = False
    """Whether it is built only when it is asked for."""

    @property
    def kept(self) -> int:
        """Archives in the cache: those of a few branches, where they are not gigabytes each."""
        return 1 if self.on_demand else 3

    @property
    def reference(self) -> str:
        return f"localhost/codesession-{self.name}:dev"

    def key(self, root: Path = ROOT) -> str:
        """Changes with whatever goes into the image; 16 hexadecimal digits."""
        stages = dockerfile.closure(dockerfile.parse((root / self.dockerfile).read_text()), self.target)
        digest = hashlib.sha256(base_key(self.packages, root).encode())
        for stage in stages:
            digest.update("\n".join([stage.base, *stage.text]).encode())
            digest.update(tree_digest(root, stage.sources))
        return digest.hexdigest()[:16]


_SANDBOX, _SERVICE = "images/sandbox/Dockerfile", "images/service/Dockerfile"
_BASE_PACKAGES, _SERVICE_PACKAGES = "images/sandbox/packages.txt", "images/service/packages.txt"

IMAGES = (
    Image("sandbox", _SANDBOX, "base", (_BASE_PACKAGES,)),
    Image(
        "sandbox-full",
        _SANDBOX,
        "full",
        (_BASE_PACKAGES, "images/sandbox/packages-full.txt"),
        requirements="requirements/sandbox-full.txt",
        on_demand=True,
    ),
    Image("api", _SERVICE, "api", (_SERVICE_PACKAGES,), requirements="requirements/service.txt"),
    Image("operator", _SERVICE, "operator", (_SERVICE_PACKAGES,), requirements="requirements/service.txt"),
    Image("minio", "images/minio/Dockerfile", "minio", (_SERVICE_PACKAGES,)),
)


def base_key(packages: Iterable[str], root: Path = ROOT) -> str:
    """Changes with the base that an image without a registry stands on."""
    machine = platform.machine().encode()
    return hashlib.sha256(machine + tree_digest(root, [*packages, "images/standin.py"])).hexdigest()[:16]


def package_names(text: str) -> list[str]:
    """The names in a list of one a line, `#` beginning a comment."""
    return [name for line in text.splitlines() if (name := line.partition("#")[0].strip())]


def tree_digest(root: Path, sources: Iterable[str]) -> bytes:
    """Names, contents and executable bits of files and of the files below directories."""
    digest = hashlib.sha256()
    for source in sources:
        for path in _files(root / source):
            executable = path.stat().st_mode & 0o100
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(root)}\0{executable}\0{content}\n".encode())
    return digest.digest()


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    yield from (p for p in sorted(path.rglob("*")) if p.is_file() and "__pycache__" not in p.parts)
