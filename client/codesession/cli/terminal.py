"""What is shown: text of programs without what drives a terminal, tables, and bars of progress."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from codesession.form import Progress

_COLOUR = r"\x1b\[[0-9;]{0,20}m"
_DRIVING = re.compile(rf"({_COLOUR})|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_WIDTH = 24
_EVERY_SECONDS = 0.1


def tell(message: str) -> None:
    """One line for people, on stderr."""
    print(f"codesession: {line(message)}", file=sys.stderr, flush=True)


def reason(error: OSError) -> str:
    """`No such file or directory: a.csv`."""
    return f"{error.strerror}: {error.filename}" if error.strerror and error.filename else str(error)


def line(text: str) -> str:
    """On one line, without control characters."""
    return _HIDDEN.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def write(stream: TextIO, text: str) -> None:
    """Output of a program as it comes: as it is into files and pipes; on a terminal with colours, and with
    nothing else that moves the cursor, sets titles or writes to the clipboard."""
    if stream.isatty():
        text = _DRIVING.sub(lambda found: found[1] or f"\\x{ord(found[0]):02x}", text)
    stream.write(text)
    stream.flush()


def table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need to be; the first row is their names."""
    shown = [[line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def size(count: int | None) -> str:
    """Bytes in decimal units, as `12.3 kB`."""
    if count is None:
        return ""
    if count < 1000:
        return f"{count} B"
    power = 1 if count < 999_950 else 2 if count < 999_950_000 else 3
    return f"{count / 1000**power:.1f} {' kMG'[power]}B"


@contextmanager
def progress(name: str) -> Iterator[Progress | None]:
    """A bar on stderr while a file is on its way; none where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    bar = _Bar(line(name)[-40:])
    try:
        yield bar
    finally:
        print(file=sys.stderr)


class _Bar:
    def __init__(self, name: str) -> None:
        self._name = name
        self._begun = time.monotonic()
        self._shown = 0.0

    def __call__(self, through: int, whole: int | None) -> None:
        now = time.monotonic()
        if now - self._shown < _EVERY_SECONDS and through != whole:
            return
        self._shown = now
        rate = size(round(through / max(now - self._begun, 0.001)))
        print(f"\r\x1b[K{bar(self._name, through, whole)}  {rate}/s", end="", file=sys.stderr, flush=True)


def bar(name: str, through: int, whole: int | None) -> str:
    if not whole:
        return f"{name}  {size(through)}"
    filled = min(_WIDTH, through * _WIDTH // whole)
    return f"{name}  [{'#' * filled}{'.' * (_WIDTH - filled)}] {size(through)} of {size(whole)}"
