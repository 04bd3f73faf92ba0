"""The operator's writes, counted from the API server's audit log."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path


class Writes:
    """Reads on from where it was before."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = 0

    def since(self) -> Counter[str]:
        """Those since the last call, by kind, as in `patch codesessions/status`."""
        if not self._log.exists():
            return Counter()
        with self._log.open("rb") as file:
            file.seek(self._offset)
            whole, _, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + bool(whole)
        return counted(whole.decode())


def counted(lines: str) -> Counter[str]:
    """Of an audit log's lines, one event each."""
    return Counter(_kind(json.loads(line)) for line in lines.splitlines())


def _kind(event: dict[str, object]) -> str:
    about = event["objectRef"]
    assert isinstance(about, dict)
    subresource = f"/{about['subresource']}" if "subresource" in about else ""
    return f"{event['verb']} {about['resource']}{subresource}"
