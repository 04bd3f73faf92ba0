"""Lines with the seconds since the start, so that a long first run can be watched."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

_START = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - _START:6.1f}s] {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Say what begins, and how long it took when it is done."""
    say(f"{text} ...")
    start = time.monotonic()
    yield
    say(f"{text}: {time.monotonic() - start:.1f} s")
