"""Commands of the pages can be given: Helm renders them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from charts import render

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/operations.md")

# The first of them may have to build helm.
pytestmark = pytest.mark.timeout(900)


def commands(page: str, program: str) -> list[list[str]]:
    """The words of each command of a page's shell blocks that begins with this program."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith(f"{program} ")]


RENDERED = [
    pytest.param(page, words[1:], id=f"{page}-{number}")
    for page in PAGES
    for number, words in enumerate(commands(page, "helm"))
    if words[1] in ("install", "upgrade")
]


@pytest.mark.parametrize(("page", "words"), RENDERED)
def test_helm_renders_what_a_page_says(page: str, words: list[str]) -> None:
    _, name, chart, *options = words
    kept = [option for option in options if option not in ("--create-namespace", "--reuse-values")]
    rendered = render.helm("template", name, str(ROOT / chart), "--kube-version", "1.30.0", *kept)
    kinds = {document["kind"] for document in yaml.safe_load_all(rendered) if document}
    assert {"CodeEnvironment", "Deployment", "ValidatingAdmissionPolicy"} <= kinds


def test_pages_install_upgrade_and_uninstall() -> None:
    given = {words[1] for page in PAGES for words in commands(page, "helm")}
    assert given == {"install", "upgrade", "uninstall", "get"}
