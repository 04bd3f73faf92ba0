"""multipart/form-data as it arrives: parts in their order, each read while the client is still sending it.

Nothing beyond what the network gave at once is held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from codesession_api import disposition
from codesession_api.errors import TooLarge, bad_request, unsupported_media_type

_PART_END = object()
_BODY_END = object()


def boundary(content_type: str) -> bytes:
    """Of a Content-Type header. Raises ApiError when it is not of a form."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise unsupported_media_type("The body must be multipart/form-data.")
    if not options.get(b"boundary"):
        raise bad_request("The form has no boundary.")
    return options[b"boundary"]


@dataclass(slots=True)
class Part:
    """A field (`filename` is None) or a file of the form."""

    name: str
    filename: str | None
    _body: _Body = field(repr=False)
    _ended: bool = False

    async def chunks(self) -> AsyncIterator[bytes]:
        while not self._ended:
            event = await self._body.next()
            if isinstance(event, bytes):
                yield event
            else:
                self._ended = True

    async def text(self, limit: int) -> str:
        """The value of a field of at most `limit` bytes."""
        value = bytearray()
        async for chunk in self.chunks():
            value += chunk
            if len(value) > limit:
                raise bad_request("A form field is too long.")
        return value.decode("utf-8", "replace")

    async def skip(self) -> None:
        async for _ in self.chunks():
            pass


async def parts(content_type: str, stream: AsyncIterator[bytes]) -> AsyncIterator[Part]:
    """The parts of a body; what the caller leaves unread of one is skipped. Raises ApiError."""
    body = _Body(boundary(content_type), stream)
    while isinstance(event := await body.next(), Part):
        yield event
        await event.skip()


class _Body:
    """Turns what the parser calls back into events: a Part, bytes of it, `_PART_END`; at last `_BODY_END`."""

    def __init__(self, boundary: bytes, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream
        self._events: deque[object] = deque()
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": lambda: self._events.append(_PART_END),
                "on_end": lambda: self._events.append(_BODY_END),
            },
        )

    async def next(self) -> object:
        while not self._events:
            chunk = await anext(self._stream, None)
            if chunk is None:
                raise bad_request("The form ends before its last boundary.")
            try:
                self._parser.write(chunk)
            except FormParserError:
                raise bad_request("The form is malformed.") from None
        return self._events.popleft()

    def _on_part_begin(self) -> None:
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _on_headers_finished(self) -> None:
        name, filename = disposition.names(self._headers.get(b"content-disposition", b""))
        self._events.append(Part(name, filename, self))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])


async def limited(stream: AsyncIterator[bytes], limit: int, what: str) -> AsyncIterator[bytes]:
    """The same bytes, until they are more than `limit`. Raises TooLarge."""
    seen = 0
    async for chunk in stream:
        seen += len(chunk)
        if seen > limit:
            raise TooLarge(what, limit)
        yield chunk
