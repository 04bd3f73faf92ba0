"""The text of a run's output while it comes, in pieces that never split a character."""

from __future__ import annotations

import codecs

from codesession_api.ports import Stream
from codesession_api.wire import ExecAnswer

_Decoder = codecs.getincrementaldecoder("utf-8")


class Texts:
    """One run's. All pieces of a stream together are what a plain answer has in its place."""

    def __init__(self) -> None:
        self._decoders = {stream: _Decoder("replace") for stream in Stream}
        self._stderr_ended_line = True

    def decode(self, stream: Stream, data: bytes) -> str:
        """What can be told now: the beginning of a character is kept until its rest comes."""
        return self._told(stream, self._decoders[stream].decode(data))

    def rest(self, answer: ExecAnswer) -> list[tuple[Stream, str]]:
        """What is left when the run has ended: halves of characters, and `answer`'s notes on `stderr`."""
        left = [
            (stream, self._told(stream, self._decoders[stream].decode(b"", final=True))) for stream in Stream
        ]
        lead = "" if self._stderr_ended_line or not answer.stderr else "\n"
        left += [(Stream.STDOUT, answer.stdout), (Stream.STDERR, lead + answer.stderr)]
        return [(stream, text) for stream, text in left if text]

    def _told(self, stream: Stream, text: str) -> str:
        if stream is Stream.STDERR and text:
            self._stderr_ended_line = text.endswith("\n")
        return text
