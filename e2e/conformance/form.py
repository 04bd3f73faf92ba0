"""multipart/form-data as LibreChat's form-data 4 writes it: raw UTF-8 names, parts in order, no length."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BOUNDARY = "--------------------------d436d4f0c1b2a39485760718"
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Form:
    fields: Sequence[tuple[str, str]]
    files: Sequence[tuple[str, bytes]]

    @property
    def headers(self) -> dict[str, str]:
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return {"Content-Type": kind, "User-Agent": "LibreChat/1.0", "User-Id": "64b7f0000000000000000001"}

    def chunks(self) -> Iterator[bytes]:
        """The body, as pieces of a transfer of unknown length."""
        for name, value in self.fields:
            yield _part(f'name="{name}"') + value.encode() + b"\r\n"
        for name, content in self.files:
            kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
            yield _part(f'name="file"; filename="{name}"', f"Content-Type: {kind}\r\n")
            for start in range(0, len(content), _CHUNK):
                yield content[start : start + _CHUNK]
            yield b"\r\n"
        yield f"--{BOUNDARY}--\r\n".encode()


def _part(disposition: str, more: str = "") -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n".encode()
