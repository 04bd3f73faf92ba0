"""Where a file of the server goes on this machine. Its name is hostile: code in a sandbox may choose it."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path
from typing import BinaryIO

_UNFIT = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\\:*?"<>|]')
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)
_COMPONENT_BYTES = 200
_DEPTH = 16


def safe(name: str) -> tuple[str, ...]:
    """The directories and the name of a file that every system takes, below whatever folder. Idempotent."""
    parts = [_component(part) for part in name.split("/") if part.strip(" .")]
    return tuple(parts[-_DEPTH:]) or ("file",)


def _component(part: str) -> str:
    """Windows takes off dots and spaces at the end, and opens devices of some names in every folder."""
    fit = _no_device(_UNFIT.sub("_", part).rstrip(" .") or "_")
    return _no_device(_shortened(fit).rstrip(" ."))


def _no_device(part: str) -> str:
    return f"_{part}" if _DEVICES.fullmatch(part) else part


def _shortened(part: str) -> str:
    """Within the limit, with its extension where that is a plausible one."""
    if len(part.encode()) <= _COMPONENT_BYTES:
        return part
    stem, dot, suffix = part.rpartition(".")
    keep = dot + suffix if stem and len(suffix.encode()) <= 16 else ""
    return part.encode()[: _COMPONENT_BYTES - len(keep.encode())].decode(errors="ignore") + keep


class Target:
    """A file that is there as a whole or not at all: written beside its place, and moved to it by `commit`.

    What has its name already is replaced; a link is, and not what it leads to. Raises OSError, also where a
    directory on the way is a link: it may lead out of the folder.
    """

    def __init__(self, folder: str | os.PathLike[str], name: str) -> None:
        *directories, last = safe(name)
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        for directory in directories:
            place /= directory
            if place.is_symlink():
                raise NotADirectoryError(f"{place} is a link, which may lead out of {folder}")
            place.mkdir(exist_ok=True)
        self.path = place / last
        self._beside = place / f".{secrets.token_hex(8)}.part"
        self._file: BinaryIO = self._beside.open("xb")

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)

    def commit(self) -> Path:
        self._file.close()
        self._beside.replace(self.path)
        return self.path

    def abandon(self) -> None:
        """After a `commit` that went well, nothing."""
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            self._beside.unlink()
