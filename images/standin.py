"""A stand-in for the `debian:trixie-slim` of a Dockerfile, on a machine that reaches no image registry.

It is made by mmdebstrap from the mirror that the machine's own apt uses, and has the image's Debian packages
already: unpacking them into a fresh root takes a fraction of the time of apt inside a layered build.
"""

from __future__ import annotations

import platform
from pathlib import Path

from images import process

SUITE = "trixie"
_OPTIONS = [
    "--quiet",
    "--variant=apt",
    '--aptopt=APT::Install-Recommends "false"',
    "--dpkgopt=force-unsafe-io",
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    # Java's packages link their manual there and fail without it.
    '--essential-hook=mkdir -p "$1/usr/share/man/man1"',
]


def bootstrap(target: Path, packages: list[str]) -> None:
    """Fill an empty directory with a Debian root that has these packages."""
    sources = sources_for(SUITE, _apt_targets(), platform.freedesktop_os_release())
    process.run(["mmdebstrap", *_OPTIONS, f"--include={','.join(packages)}", SUITE, str(target), *sources])


def sources_for(suite: str, targets: str, os_release: dict[str, str]) -> list[str]:
    """The machine's Debian mirrors as apt source lines of another suite.

    `targets` has a line "URI release" for each package list of the machine's apt. The security archive is
    taken where the machine has it. Raises ValueError when it has no Debian mirror.
    """
    ours = os_release.get("VERSION_CODENAME") if os_release.get("ID") == "debian" else None
    mirrors = {release: uri for uri, release in (line.split() for line in targets.splitlines())}
    if ours is None or ours not in mirrors:
        raise ValueError(
            "without a Docker engine, images are built from Debian's mirror: this machine's apt has none"
        )
    wanted = {suite: mirrors[ours], f"{suite}-security": mirrors.get(f"{ours}-security")}
    return [f"deb {uri} {release} main" for release, uri in wanted.items() if uri]


def _apt_targets() -> str:
    query = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]
    return process.output(query)
