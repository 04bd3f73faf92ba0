"""Names of files: paths relative to /mnt/data, as clients and sandboxes give them and as they are kept.

A kept name is what user code opens, so it is left as it came wherever that is safe: no Unicode normalisation,
because the model was told the name that the client sent. What no path or no object key can hold is replaced.
"""

from __future__ import annotations

import re

MAX_COMPONENT_BYTES = 255
MAX_NAME_BYTES = 768
"""Of the 1024 bytes of an S3 key, what is left beside tenant, session and file id, with some to spare."""

_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def clean(name: str) -> str:
    """A name that fits, from whatever a client sent. Directories stay; a path that is absolute or leaves its
    directory keeps only its last component. Idempotent."""
    parts = [_shorten(part) for part in _UNFIT.sub("_", name).split("/") if part not in ("", ".")]
    segments = [segment for part in parts for segment in part.split("\\")]
    if name.startswith("/") or any(map(_is_dots, segments)):
        parts = [segment for segment in segments[-1:] if segment and not _is_dots(segment)]
    parts = parts or ["file"]
    whole = "/".join(parts)
    return whole if len(whole.encode()) <= MAX_NAME_BYTES else parts[-1]


def fits(name: str) -> bool:
    """Whether a name can be kept as it is; what a sandbox reports is refused otherwise, since renaming a file
    that code will look for again helps nobody."""
    return clean(name) == name


def base(name: str) -> str:
    """The last component."""
    return name.rpartition("/")[2]


def extension(name: str) -> str:
    """`.csv` of `a/b.csv`; empty where there is none."""
    stem, dot, suffix = base(name).rpartition(".")
    return dot + suffix if stem and suffix else ""


def _is_dots(segment: str) -> bool:
    """As MinIO sees it, which takes `\\` for a separator too, and refuses a key with such a segment."""
    return segment.strip(" ") in (".", "..")


def _shorten(part: str) -> str:
    """The component within its limit, with its extension where that is a plausible one."""
    if len(part.encode()) <= MAX_COMPONENT_BYTES:
        return part
    suffix = extension(part)
    if len(suffix.encode()) > 32:
        suffix = ""
    room = MAX_COMPONENT_BYTES - len(suffix.encode())
    return part.encode()[:room].decode(errors="ignore") + suffix
