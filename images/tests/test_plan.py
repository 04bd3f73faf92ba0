from __future__ import annotations

from pathlib import Path

import pytest

from images.plan import IMAGES, ROOT, Image, package_names
from images.standin import sources_for

IMAGE = Image("one", "d/Dockerfile", "final", ("d/packages.txt",))
OS_RELEASE = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
TARGETS = "http://mirror/debian/ bookworm\nhttp://other/x stable\nhttp://mirror/security/ bookworm-security\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "d/Dockerfile": "FROM a AS unused\nCOPY unused /\nFROM a AS final\nCOPY src /src\n",
        "d/packages.txt": "python3\n",
        "images/standin.py": "",
        "src/module.py": "x = 1\n",
        "unused": "1",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "text", "same"),
    [
        ("src/module.py", "x = 2\n", False),
        ("src/new.py", "", False),
        ("d/packages.txt", "python3\njq\n", False),
        ("d/Dockerfile", "FROM a AS final\nUSER 1\nCOPY src /src\n", False),
        ("images/standin.py", "# other options", False),
        ("unused", "2", True),
        ("src/__pycache__/module.cpython-313.pyc", "", True),
        ("d/Dockerfile", "# why\nFROM b AS unused\nFROM a AS final\nCOPY src /src\n", True),
    ],
)
def test_the_key_follows_what_goes_into_the_image(root: Path, path: str, text: str, same: bool) -> None:
    before = IMAGE.key(root)
    (root / path).parent.mkdir(exist_ok=True)
    (root / path).write_text(text)
    assert (IMAGE.key(root) == before) is same


def test_a_renamed_and_an_executable_file_are_changes(root: Path) -> None:
    keys = {IMAGE.key(root)}
    (root / "src/module.py").chmod(0o755)
    keys.add(IMAGE.key(root))
    (root / "src/module.py").rename(root / "src/other.py")
    keys.add(IMAGE.key(root))
    assert len(keys) == 3


def test_package_lists_have_comments() -> None:
    assert package_names("# why\npython3\n\njq  # for tools\n") == ["python3", "jq"]


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_no_package_is_named_twice(image: Image) -> None:
    names = [name for path in image.packages for name in package_names((ROOT / path).read_text())]
    assert len(names) == len(set(names))


def test_the_mirror_is_the_machines_own() -> None:
    assert sources_for("trixie", TARGETS, OS_RELEASE) == [
        "deb http://mirror/debian/ trixie main",
        "deb http://mirror/security/ trixie-security main",
    ]
    without_security = TARGETS.replace("bookworm-security", "x")
    assert sources_for("trixie", without_security, OS_RELEASE) == ["deb http://mirror/debian/ trixie main"]


@pytest.mark.parametrize(
    ("targets", "os_release"),
    [
        ("", OS_RELEASE),
        (TARGETS, {"ID": "ubuntu", "VERSION_CODENAME": "bookworm"}),
        (TARGETS, {"ID": "arch"}),
    ],
)
def test_no_debian_mirror_is_said(targets: str, os_release: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="mirror"):
        sources_for("trixie", targets, os_release)
