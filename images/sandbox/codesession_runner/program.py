"""What the runner and a ready child say to each other: one request, and two words back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

MAX_REQUEST = 160 * 1024
"""Bytes of an encoded request: a datagram within the usual socket buffer of 208 KiB."""

BEGUN = b"begun"
OUT_OF_MEMORY = b"memory"


@dataclass(frozen=True, slots=True)
class Program:
    """A program for a child to become. `limits` are pairs of an RLIMIT number and its value."""

    path: str
    args: list[str]
    interpreter: str | None
    """The program that is given the file; None for the Python that is running already."""
    directory: str
    limits: list[tuple[int, int]]

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Program:
        return cls(**json.loads(data))
