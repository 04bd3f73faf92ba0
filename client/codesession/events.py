"""A run while it goes on: the events of an answer, out of its bytes as they arrive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import ValidationError

from codesession.errors import (
    NOT_BEGUN,
    BadAnswerError,
    BusyError,
    RefusedError,
    ServerFailedError,
    UnreachableError,
    document,
)
from codesession.models import FILES, RESULT, File, Result, parsed
from codesession.sse import Message, Parser

MIME = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Stdout:
    text: str


@dataclass(frozen=True, slots=True)
class Stderr:
    text: str


@dataclass(frozen=True, slots=True)
class Files:
    """What the run made or changed, once it is stored."""

    files: tuple[File, ...]


@dataclass(frozen=True, slots=True)
class End:
    """The last event. `result` is whole: it has all of stdout, stderr and files too."""

    result: Result


Event: TypeAlias = Stdout | Stderr | Files | End


class Transcript:
    """The answer to one run. A server that cannot stream answers with JSON, which is told as events too."""

    def __init__(self, content_type: str) -> None:
        self._streams = content_type.partition(";")[0].strip().lower() == MIME
        self._parser = Parser()
        self._body = bytearray()
        self._stdout: list[str] = []
        self._stderr: list[str] = []
        self._files: list[File] = []
        self._ended = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Raises RefusedError where the server gave up, BadAnswerError."""
        if not self._streams:
            self._body += chunk
            return
        for message in self._parser.feed(chunk):
            if (event := self._event(message)) is not None:
                yield event

    def close(self) -> Iterator[Event]:
        """The answer has no more bytes. Raises UnreachableError where the run's end was not told."""
        if not self._streams:
            yield from _told(parsed(RESULT, bytes(self._body)))
        elif not self._ended:
            raise UnreachableError("The answer was cut off before the run's end.")

    def _event(self, message: Message) -> Event | None:
        """None for one that is not known: there may be more kinds one day."""
        said = document(message.data.encode())
        match message.event:
            case "stdout":
                self._stdout.append(_text(said))
                return Stdout(self._stdout[-1])
            case "stderr":
                self._stderr.append(_text(said))
                return Stderr(self._stderr[-1])
            case "files":
                files = _files(said)
                self._files += files
                return Files(files)
            case "end":
                self._ended = True
                return End(self._result(said))
            case "error":
                raise _refusal(said)
        return None

    def _result(self, said: dict[str, Any]) -> Result:
        """`end` has what no event before it said."""
        before = {
            "stdout": "".join(self._stdout),
            "stderr": "".join(self._stderr),
            "files": tuple(self._files),
        }
        try:
            return RESULT.validate_python({**before, **said})
        except ValidationError:
            raise BadAnswerError("The end of the run makes no sense.") from None


def _told(result: Result) -> Iterator[Event]:
    if result.stdout:
        yield Stdout(result.stdout)
    if result.stderr:
        yield Stderr(result.stderr)
    if result.files:
        yield Files(result.files)
    yield End(result)


def _text(said: dict[str, Any]) -> str:
    text = said.get("text")
    if not isinstance(text, str):
        raise BadAnswerError("An event of output has no text.")
    return text


def _files(said: dict[str, Any]) -> tuple[File, ...]:
    try:
        return FILES.validate_python(said.get("files"))
    except ValidationError:
        raise BadAnswerError("An event of files makes no sense.") from None


def _refusal(said: dict[str, Any]) -> RefusedError:
    """What came when there was no status any more."""
    kind = BusyError if said.get("error") in NOT_BEGUN else ServerFailedError
    return kind.of(200, said)
