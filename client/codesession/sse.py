"""Server-sent events as they arrive, cut wherever the network cut them (WHATWG HTML, 9.2.6)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from codesession.errors import BadAnswerError

_LINE_END = re.compile(rb"\r\n|\n|\r")
MAX_EVENT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """One event: its name, and its lines of data joined by newlines."""

    event: str
    data: str


class Parser:
    """Comments, ids, and times to reconnect after are left out: a run is not asked for again."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._begun = False
        self._after_return = False
        self._event = ""
        self._data: list[str] = []
        self._bytes = 0

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The events that end in this chunk. Raises BadAnswerError on one without an end."""
        for line in self._lines(chunk):
            if line:
                self._field(line)
            elif (message := self._end()) is not None:
                yield message
        if len(self._rest) + self._bytes > MAX_EVENT_BYTES:
            raise BadAnswerError(f"An event of the answer is longer than {MAX_EVENT_BYTES} bytes.")

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        if self._after_return and chunk:
            # The newline of a CR LF that was cut in two.
            chunk = chunk.removeprefix(b"\n")
            self._after_return = False
        self._after_return = self._after_return or chunk.endswith(b"\r")
        if not _LINE_END.search(chunk):
            self._rest += chunk
            return
        *lines, rest = _LINE_END.split(bytes(self._rest) + chunk)
        self._rest = bytearray(rest)
        for line in lines:
            if not self._begun:
                line = line.removeprefix(codecs.BOM_UTF8)
                self._begun = True
            yield line

    def _field(self, line: bytes) -> None:
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        self._bytes += len(line)
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)

    def _end(self) -> Message | None:
        message = Message(self._event or "message", "\n".join(self._data)) if self._data else None
        self._event, self._data, self._bytes = "", [], 0
        return message
