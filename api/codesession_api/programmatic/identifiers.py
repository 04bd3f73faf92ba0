"""What a tool is called in a program: LibreChat tells its model how names are rewritten, so this does the
same, as `normalizeToPythonIdentifier` and `normalizeToBashIdentifier` of its client do."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Sequence

from codesession_api.ports import Tool

_SEPARATORS = {"py": re.compile(r"[-\s]"), "bash": re.compile(r"[-\s.]")}
_INVALID = re.compile(r"[^A-Za-z0-9_]")
_BASH_RESERVED = frozenset({
    *("if", "then", "else", "elif", "fi", "case", "esac", "for", "while", "until", "do", "done", "in"),
    *("function", "select", "time", "coproc", "declare", "typeset", "local", "readonly", "export", "unset"),
})  # fmt: skip
_RESERVED = {"py": frozenset(keyword.kwlist), "bash": _BASH_RESERVED}
_LENGTH = 128

LANGUAGES = frozenset(_RESERVED)
"""Those in which programs can call tools."""


def identifier(name: str, language: str) -> str:
    """A valid identifier of the language for any name; of those that lose all characters, `tool`."""
    plain = _INVALID.sub("", _SEPARATORS[language].sub("_", name))[:_LENGTH] or "tool"
    if plain[0].isdigit():
        plain = f"_{plain}"
    return f"{plain}_tool" if plain in _RESERVED[language] else plain


def named(names: Iterable[str], language: str) -> Sequence[Tool]:
    """The tools of a program, each name once; of several names for one identifier the later ones get `_2`,
    `_3` and so on, and a name that is an identifier already keeps it."""
    wanted = {name: identifier(name, language) for name in names}
    taken = {name for name, own in wanted.items() if name == own}
    return [Tool(name, own if name == own else _free(own, taken)) for name, own in wanted.items()]


def _free(wanted: str, taken: set[str]) -> str:
    found, number = wanted, 1
    while found in taken:
        number += 1
        found = f"{wanted}_{number}"
    taken.add(found)
    return found
