"""What the runner and a ready child say to each other: one request, and two words back.

A live child takes one request after another, and says when each has ended.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, field

MAX_REQUEST = 160 * 1024
"""Bytes of an encoded request: a datagram within the usual socket buffer of 208 KiB."""

BEGUN = b"begun"
OUT_OF_MEMORY = b"memory"
MAX_WORD = 64
_ENDED = re.compile(rb"ended ([0-9]{1,3}) ([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class Program:
    """A program for a child to become. `limits` are pairs of an RLIMIT number and its value."""

    path: str
    args: list[str]
    directory: str
    limits: list[tuple[int, int]]
    command: list[str] = field(default_factory=list)
    """What to execute, before `args`; nothing for the Python that is running already."""
    compile: list[str] = field(default_factory=list)
    """What to execute first, in the directory of the file."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables for both, where there are none of that name."""
    linked: bool = False
    """Whether what lies in `directory` is also to be found beside the file."""
    tools: list[str] | None = None
    """What it can call through the descriptor after its three; None for a program that calls nothing."""
    source: str | None = None
    """The code, where `path` is but a name."""
    live: bool = False
    """Whether the child stays, with all that the program leaves in it, and waits for the next."""

    def variables(self) -> dict[str, str]:
        """The environment of what is executed."""
        return {**self.environment, **os.environ}

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Program:
        return cls(**json.loads(data))


def ended(status: int, cpu: float) -> bytes:
    """The word of a live child whose program has ended with `status`, after `cpu` processor seconds."""
    return b"ended %d %d" % (status, cpu * 1e6)


def parse_ended(word: bytes) -> tuple[int, float] | None:
    """Exit status and processor seconds, or None of another word; the program may have sent any."""
    found = _ENDED.fullmatch(word)
    return (int(found[1]) & 0xFF, int(found[2]) / 1e6) if found else None
