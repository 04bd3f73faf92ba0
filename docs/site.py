"""The hooks of `mkdocs.yml`: the README is the first page, the changelog is one, and what is no page is named
by its path.

Without a public address of the repository a link out of `docs/` could lead nowhere on the site.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OF_THE_ROOT = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
"""Pages that lie outside of docs/, and what they are called on the site."""
_LINK = re.compile(r"\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    for path, page in OF_THE_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    folder = "" if page.file.src_uri in OF_THE_ROOT.values() else "docs"
    return linked(markdown, folder)


def linked(markdown: str, folder: str) -> str:
    """With links between pages, and in place of all others the text and the path. `folder` is where the page
    is in the repository. Raises PluginError of a link that leads nowhere."""
    return _LINK.sub(lambda link: _followed(link, folder), markdown)


def _followed(link: re.Match[str], folder: str) -> str:
    text, target, anchor = link[1], link[2], link[3] or ""
    place = (ROOT / folder / target).resolve()
    if not place.exists():
        raise PluginError(f"{folder or 'README.md'}: [{text}]({target}) leads nowhere")
    path = PurePosixPath(place.relative_to(ROOT).as_posix())
    if str(path) in OF_THE_ROOT:
        return f"[{text}]({OF_THE_ROOT[str(path)]}{anchor})"
    if path.parent == PurePosixPath("docs") and path.suffix == ".md":
        return f"[{text}]({path.name}{anchor})"
    return f"{text} (`{path}`)"
