"""A stored file as a response: whole, a part of it, or word that the client has it already."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from email.utils import format_datetime

from fastapi import Request, Response
from starlette.responses import StreamingResponse

from codesession_api import media
from codesession_api.errors import RangeNotSatisfiable
from codesession_api.files import StoredFile

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file of `size`: `length` from `first` on."""

    first: int
    length: int
    size: int

    @property
    def partial(self) -> bool:
        return self.length != self.size


def answer(
    request: Request, file: StoredFile, read: Callable[[int, int | None], AsyncIterator[bytes]]
) -> Response:
    """`read` gives the bytes from an offset on, so many or all. They are never compressed: LibreChat passes
    the headers on to browsers as they are. Raises ApiError 416."""
    headers = _validators(file)
    if unchanged(request.headers.get("if-none-match"), headers["etag"]):
        return Response(status_code=304, headers=headers)
    span = _span(request.headers, headers, file.info.size)
    headers |= {
        "content-type": media.content_type(file.key.name),
        "content-length": str(span.length),
        "content-disposition": media.attachment(file.key.name),
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
    }
    if span.partial:
        headers["content-range"] = f"bytes {span.first}-{span.first + span.length - 1}/{span.size}"
    status = 206 if span.partial else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(read(span.first, span.length if span.partial else None), status, headers)


def span(header: str | None, size: int) -> Span:
    """What is asked for; a header with several ranges, or none that can be read, asks for all. Raises
    ApiError 416."""
    match = _RANGE.fullmatch(header or "")
    if match is None or match[0] == "bytes=-":
        return Span(0, size, size)
    start, end = match[1], match[2]
    first = int(start) if start else max(0, size - int(end))
    last = min(int(end), size - 1) if start and end else size - 1
    if first > last:
        raise RangeNotSatisfiable(size)
    return Span(first, last - first + 1, size)


def unchanged(header: str | None, etag: str) -> bool:
    """Whether If-None-Match names this entity tag, or any."""
    tags = {tag.strip().removeprefix("W/") for tag in (header or "").split(",")}
    return bool(tags & {etag, "*"})


def _validators(file: StoredFile) -> dict[str, str]:
    return {
        "etag": f'"{file.info.etag}"',
        "last-modified": format_datetime(file.info.modified, usegmt=True),
        "cache-control": "private, no-transform",
    }


def _span(asked: Mapping[str, str], validators: Mapping[str, str], size: int) -> Span:
    """A part is only of use to a client that has the rest of the same file."""
    condition = asked.get("if-range")
    same = condition in (None, validators["etag"], validators["last-modified"])
    return span(asked.get("range") if same else None, size)
