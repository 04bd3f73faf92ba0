"""Content types, by the name alone: every machine says the same, and a listing need not ask the store."""

from __future__ import annotations

import mimetypes
from urllib.parse import quote

from codesession_api import names

DEFAULT = "application/octet-stream"

_OFFICE = "application/vnd.openxmlformats-officedocument"
_MORE = {
    ".avif": "image/avif",
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".gz": "application/gzip",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".ipynb": "application/x-ipynb+json",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".parquet": "application/vnd.apache.parquet",
    ".potx": f"{_OFFICE}.presentationml.template",
    ".pptx": f"{_OFFICE}.presentationml.presentation",
    ".rst": "text/x-rst",
    ".sql": "application/sql",
    ".toml": "application/toml",
    ".ts": "text/plain",
    ".webp": "image/webp",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
# Python's own table, without the files of this machine that `mimetypes.guess_type` would read too.
_TYPES = {**mimetypes.MimeTypes(filenames=()).types_map[True], **_MORE}


def content_type(name: str) -> str:
    """`text/csv` of `a/b.csv`; `application/octet-stream` where the name does not tell."""
    return _TYPES.get(names.extension(name).lower(), DEFAULT)


def attachment(name: str) -> str:
    """A Content-Disposition (RFC 6266) with the base name, in ASCII for the old and in UTF-8."""
    plain = names.base(name)
    ascii_name = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in plain)
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(plain, safe='')}"
