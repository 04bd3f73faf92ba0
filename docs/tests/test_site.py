"""The pages as a site."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mkdocs.exceptions import PluginError

from docs import site

ROOT = Path(__file__).parents[2]


def test_it_builds_has_every_page_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} | {"index", "changelog"}
    assert pages <= {path.stem for path in tmp_path.glob("*.html")}
    for page in tmp_path.glob("*.html"):
        fetched = re.findall(r"<(?:script|img|iframe)[^>]* src=\"?([^\" >]+)", page.read_text())
        fetched += re.findall(r"<link[^>]* rel=\"?stylesheet\"?[^>]* href=\"?([^\" >]+)", page.read_text())
        assert [address for address in fetched if re.match(r"(\w+:)?//", address)] == []


@pytest.mark.parametrize(
    ("markdown", "folder", "linked"),
    [
        ("[a](limits.md)", "docs", "[a](limits.md)"),
        ("[a](docs/limits.md#b)", "", "[a](limits.md#b)"),
        ("[a](../README.md)", "docs", "[a](index.md)"),
        ("[a](CHANGELOG.md)", "", "[a](changelog.md)"),
        ("[a](../Makefile)", "docs", "a (`Makefile`)"),
        ("[a](examples)", "", "a (`examples`)"),
        ("[a](https://a.example/b) [c](#d)", "docs", "[a](https://a.example/b) [c](#d)"),
    ],
)
def test_links_out_of_the_pages_become_paths(markdown: str, folder: str, linked: str) -> None:
    assert site.linked(markdown, folder) == linked


def test_a_link_that_leads_nowhere_is_an_error() -> None:
    with pytest.raises(PluginError, match="nowhere"):
        site.linked("[a](../none.md)", "docs")
