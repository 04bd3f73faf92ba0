"""The languages of the sandbox: how a file of code becomes a program."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    name: str
    file_name: str
    """What the code is called in its private directory."""
    interpreter: str | None
    """The program that is given the file, or None for the interpreter that is forked ahead."""


_KNOWN = {"py": ("main.py", None), "bash": ("main.sh", "bash")}


def available(names: Iterable[str]) -> dict[str, Language]:
    """Those of `names` that this image can run, by name."""
    found = {}
    for name in names:
        if name not in _KNOWN:
            continue
        file_name, program = _KNOWN[name]
        interpreter = shutil.which(program) if program else None
        if program is None or interpreter is not None:
            found[name] = Language(name, file_name, interpreter)
    return found
