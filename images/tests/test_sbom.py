from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from images import sbom
from images.plan import IMAGES, ROOT, Image

LOCK = """\
one==1.0 \\
    --hash=sha256:aa
two==2.0 ; sys_platform == 'win32' \\
    --hash=sha256:bb
three==3.0 ; python_full_version >= '3.13' and sys_platform != 'emscripten' \\
    --hash=sha256:cc
three==2.0 ; python_full_version < '3.13' \\
    --hash=sha256:dd
"""


def test_pins_are_those_that_an_image_installs() -> None:
    lines = sbom.pins(LOCK)
    assert set(lines) == {"one", "three"}
    assert "three==3.0" in lines["three"]


# One for each lock.
LOCKED = {image.requirements: image for image in IMAGES if image.requirements}


@pytest.mark.parametrize("image", LOCKED.values(), ids=lambda image: image.name)
def test_every_pin_of_an_image_is_in_its_document_with_its_hashes(image: Image, tmp_path: Path) -> None:
    (path,) = sbom.write((image,), tmp_path)
    assert path.name == f"codesession-{image.name}.cdx.json"
    written = json.loads(path.read_text())
    assert written["bomFormat"] == "CycloneDX"
    found = {
        (component["name"], component["version"]): {
            digest["content"] for link in component["externalReferences"] for digest in link["hashes"]
        }
        for component in written["components"]
    }
    lock = (ROOT / str(image.requirements)).read_text()
    wanted = {
        tuple(re.split(r"==|\s", line)[:2]): set(re.findall(r"--hash=sha256:(\w+)", line))
        for line in sbom.pins(lock).values()
    }
    assert len(wanted) > 5
    assert found == wanted
