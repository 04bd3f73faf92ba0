"""Builds an image into an archive: with Docker where an engine answers, else with buildah."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections import defaultdict
from pathlib import Path
from typing import Protocol

from e2e.cluster.cache import binary
from images import cache, process, standin, wheels
from images.plan import IMAGES, ROOT, Image, base_key, package_names

logger = logging.getLogger(__name__)
_STANDIN = "localhost/standin-"


class Engine(Protocol):
    def build(self, image: Image, archive: Path) -> None:
        """Write the image, under its reference, to an archive that containerd and Docker can load."""
        ...

    def tidy(self) -> None:
        """Forget what the next build has no use for."""
        ...


def choose() -> Engine:
    """Raises RuntimeError when this machine can build no image."""
    if process.succeeds(["docker", "version", "--format", "{{.Server.Version}}"]):
        return Docker()
    if os.geteuid() != 0:
        raise RuntimeError("images need a Docker engine, or root for buildah and mmdebstrap")
    missing = [tool for tool in ("buildah", "mmdebstrap") if shutil.which(tool) is None]
    if missing:
        _install(missing)
    return Buildah()


def _install(tools: list[str]) -> None:
    if shutil.which("apt-get") is None:
        raise RuntimeError(f"without a Docker engine, images need {' and '.join(tools)}")
    logger.info("apt-get install %s", " ".join(tools))
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    process.run([*apt, "update"])
    process.run(
        [*apt, "install", "-y", "--no-install-recommends", *tools], env={"DEBIAN_FRONTEND": "noninteractive"}
    )


class Docker:
    def build(self, image: Image, archive: Path) -> None:
        tag = ["--target", image.target, "--tag", image.reference]
        process.run(["docker", "build", "--file", str(ROOT / image.dockerfile), *tag, str(ROOT)])
        process.run(["docker", "save", "--output", str(archive), image.reference])

    def tidy(self) -> None:
        """The engine is its owner's to prune."""


class Buildah:
    """Needs neither a registry nor namespaces. Its storage is in the cache, apart from the user's own."""

    def __init__(self) -> None:
        storage = cache.directory() / "buildah"
        self._buildah = ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run")]
        self._locks: dict[tuple[str, ...], threading.Lock] = defaultdict(threading.Lock)

    def build(self, image: Image, archive: Path) -> None:
        # One at a time on the same base: the next finds the layers that they share.
        with self._locks[image.packages]:
            self._run("build", *self._options(image), str(ROOT))
            self._run("push", image.reference, f"docker-archive:{archive}:{image.reference}")

    def _options(self, image: Image) -> list[str]:
        dockerfile = str(ROOT / image.dockerfile)
        options = ["--layers", "--pull-never", "--target", image.target, "--tag", image.reference]
        options += ["--file", dockerfile, "--ignorefile", f"{dockerfile}.dockerignore"]
        options += ["--build-arg", f"BASE={self._base(image)}"]
        for name, directory in _contexts(image).items():
            options += ["--build-context", f"{name}={directory}"]
        return options

    def tidy(self) -> None:
        self._run("rm", "--all")  # of builds that were killed
        current = {_standin(image) for image in IMAGES}
        for reference in self._output("images", "--format", "{{.Name}}:{{.Tag}}").split():
            if reference.startswith(_STANDIN) and reference not in current:
                self._run("rmi", "--force", reference)
        self._run("rmi", "--prune")

    def _base(self, image: Image) -> str:
        reference = _standin(image)
        if not process.succeeds([*self._buildah, "inspect", "--type", "image", reference]):
            packages = [name for path in image.packages for name in package_names((ROOT / path).read_text())]
            logger.info("%s: mmdebstrap %s with %s", image.name, standin.SUITE, " ".join(packages))
            container = self._output("from", "scratch")
            try:
                standin.bootstrap(Path(self._output("mount", container)), packages)
                self._run("commit", "--format", "docker", container, reference)
            finally:
                self._run("rm", container)
        return reference

    def _run(self, *arguments: str) -> None:
        self._output(*arguments)

    def _output(self, *arguments: str) -> str:
        command = [*self._buildah, *arguments]
        return process.output(command, env={"BUILDAH_ISOLATION": "chroot"}).strip()


def _standin(image: Image) -> str:
    return f"{_STANDIN}{Path(image.packages[0]).parent.name}:{base_key(image.packages)}"


def _contexts(image: Image) -> dict[str, Path]:
    """Directories in place of the stages that would reach for the network."""
    if image.name == "minio":
        return {"prebuilt": binary("minio").parent}
    if image.requirements is not None:
        return {"wheels": wheels.fetch(ROOT / image.requirements, cache.directory())}
    return {}
