"""The three standard streams of a program: as descriptors, and as Python has them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

_PYTHON = (
    ("stdin", "r", "surrogateescape"),
    ("stdout", "w", "surrogateescape"),
    ("stderr", "w", "backslashreplace"),
)
"""Name, mode and error handler of each, as in Python's UTF-8 mode."""


def connect(descriptors: Sequence[int]) -> None:
    """Make three open descriptors the standard streams; OSError when they are not three."""
    if len(descriptors) != len(_PYTHON):
        raise OSError("a standard stream is missing")
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)


def renew() -> None:
    """Give `sys` its own streams again, whatever the last program has done to them."""
    for number, (name, mode, errors) in enumerate(_PYTHON):
        stream = getattr(sys, f"__{name}__")
        if stream is None or stream.closed:
            stream = open(number, mode, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
            setattr(sys, f"__{name}__", stream)
        setattr(sys, name, stream)


class Nowhere:
    """/dev/null, for the time between two programs; held, so that no want of descriptors is in the way."""

    def __init__(self) -> None:
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)

    def connect(self) -> None:
        """Take the last program's pipes from the standard streams; OSError if it has closed what is held."""
        for target in range(len(_PYTHON)):
            os.dup2(self._null, target)
