from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T | None], what: str, seconds: float = 60, interval: float = 0.2) -> T:
    """The first true result of `probe`; AssertionError, naming what did not come, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what} (last: {result!r})")
        time.sleep(interval)
    return result
