"""Builds the images into archives: `python3 -m images.build [--only NAME …] [--load]`.

Needs nothing installed but Python; prints the archives' paths. An image whose sources did not change is not
built again.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from images import cache, engine
from images.plan import IMAGES, ROOT, Image
from images.process import ProcessError

logger = logging.getLogger("images")


def build(images: list[Image]) -> list[Path]:
    """The archives of these images, in order, built where they are missing."""
    archives = [cache.archive(image.name, image.key()) for image in images]
    if not all(archive.exists() for archive in archives):
        with cache.locked():
            _build_missing([pair for pair in zip(images, archives, strict=True) if not pair[1].exists()])
    for image, archive in zip(images, archives, strict=True):
        os.utime(archive)
        cache.prune(image.name, image.kept)
    return archives


def _build_missing(missing: list[tuple[Image, Path]]) -> None:
    if not missing:
        return
    chosen = engine.choose()

    def build_one(image: Image, archive: Path) -> None:
        began = time.monotonic()
        logger.info("%s: building with %s", image.name, type(chosen).__name__.lower())
        cache.write(archive, lambda path: chosen.build(image, path))
        size = archive.stat().st_size >> 20
        logger.info("%s: %d MiB, built in %.1f s", image.name, size, time.monotonic() - began)

    with ThreadPoolExecutor(max_workers=2) as pool:
        for result in [pool.submit(build_one, *pair) for pair in missing]:
            result.result()
    chosen.tidy()


def main(arguments: list[str] | None = None) -> int:
    by_name = {image.name: image for image in IMAGES}
    parser = argparse.ArgumentParser(prog="python3 -m images.build", description=__doc__)
    usual = [image.name for image in IMAGES if not image.on_demand]
    parser.add_argument("--only", nargs="+", choices=by_name, default=usual, metavar="NAME")
    parser.add_argument("--load", action="store_true", help="load them into this machine's cluster")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s images: %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    try:
        archives = build([by_name[name] for name in options.only])
    except (ProcessError, RuntimeError, ValueError) as error:
        logger.error("%s", error)
        return 1
    sys.stdout.writelines(f"{archive}\n" for archive in archives)
    if options.load:
        load = [sys.executable, "-m", "e2e.cluster", "load", *map(str, archives)]
        return subprocess.run(load, cwd=ROOT, check=False).returncode
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
