"""The names in a file of Java: a public class decides what the file is called, one class has `main`.

A glance, not a parser: what it gets wrong, the compiler says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Comments and literals match also where they never end, so that hostile text takes no longer.
_SILENT = re.compile(
    r'//[^\n]*|/\*.*?(?:\*/|\Z)|"""(?:\\.|[^\\])*?(?:"""|\Z)|"(?:\\.|[^"\\\n])*"?'
    r"|'(?:\\.|[^'\\\n])*'?",
    re.DOTALL,
)
_PACKAGE = re.compile(r"^[ \t]*package\s+([\w.]{1,200})", re.MULTILINE)
_TOKEN = re.compile(
    r"(?P<brace>[{}])|(?P<public>\bpublic\s+(?:\w+\s+){0,4}?)?\b(?:class|interface|enum|record)\s+(?P<type>\w{1,60})"
    r"|(?P<main>\bvoid\s+main\s*\()"
)

_LOOK_AT = 256 * 1024
"""Characters."""


@dataclass(frozen=True, slots=True)
class Names:
    file: str
    """Without its suffix."""
    main: str
    """The class to start, with its package."""


def names(code: str) -> Names:
    """`Main` for what the code does not say."""
    text = _SILENT.sub(" ", code[:_LOOK_AT])
    types = list(_types(text))
    file = next((name for name, public, _ in types if public), "Main")
    with_main = [name for name, _, main in types if main]
    main = file if file in with_main or not with_main else with_main[0]
    package = _PACKAGE.search(text)
    return Names(file, f"{package[1]}.{main}" if package else main)


def _types(text: str) -> Iterator[tuple[str, bool, bool]]:
    """Each type at the top of the file: its name, whether it is public, whether it has a `main`."""
    depth, name, public, main = 0, "", False, False
    for token in _TOKEN.finditer(text):
        if token["brace"]:
            depth += 1 if token["brace"] == "{" else -1
            if depth == 0 and name:
                yield name, public, main
                name = ""
        elif token["type"] and depth == 0:
            name, public, main = token["type"], bool(token["public"]), False
        elif token["main"] and depth == 1:
            main = True
