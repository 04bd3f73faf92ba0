"""What the runner and a ready child say to each other: one request, and two words back."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field

MAX_REQUEST = 160 * 1024
"""Bytes of an encoded request: a datagram within the usual socket buffer of 208 KiB."""

BEGUN = b"begun"
OUT_OF_MEMORY = b"memory"


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

    def variables(self) -> dict[str, str]:
        """The environment of what is executed."""
        return {**self.environment, **os.environ}

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Program:
        return cls(**json.loads(data))
