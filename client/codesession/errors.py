"""What can go wrong between a client and a server, one class for each thing that a caller may do about it.

What the code itself did wrong is no error: it is in the `Result`. A local file that cannot be read or written
is an OSError.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Self

NOT_BEGUN = frozenset({"rate_limited", "sandboxes_unavailable"})
"""What the server says where it has no sandbox for the code. Any other 503 may come after it ran."""
_MESSAGE_CHARACTERS = 2000


class CodeSessionError(Exception):
    """The base of all. Its text is one for people, and holds no key."""


class UnreachableError(CodeSessionError):
    """There was no answer, or not all of one: nobody listens, the connection broke, or time was up.
    Whether the code ran is not known."""


class BadAnswerError(CodeSessionError):
    """What answered makes no sense: it is no CodeSession server, or something between changes its answers."""


class RefusedError(CodeSessionError):
    """The server said no."""

    def __init__(self, status: int, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        """Of HTTP; 200 where the refusal came after the answer had begun."""
        self.code = code
        """The server's word for it, for programs; empty where something else than the server refused."""
        self.message = message
        """Its sentence, for people."""
        self.retry_after = retry_after
        """Seconds after which trying again makes sense, where it said so."""

    @classmethod
    def of(cls, status: int, said: Mapping[str, Any], retry_after: float | None = None) -> Self:
        """What is said is anything. The body's own time stands in where there is no header."""
        code, message, seconds = said.get("error"), said.get("message"), said.get("retry_after_seconds")
        if retry_after is None and isinstance(seconds, int | float) and seconds >= 0:
            retry_after = float(seconds)
        return cls(
            status,
            code if isinstance(code, str) else "",
            message[:_MESSAGE_CHARACTERS] if isinstance(message, str) else f"The server answered {status}.",
            retry_after,
        )


class InvalidRequestError(RefusedError):
    """The request cannot be served as it is: 400, 405, 409, 415, 422."""


class UnauthorizedError(RefusedError):
    """The key is missing or wrong: 401, 403."""


class NotFoundError(RefusedError):
    """There is no such session or file, or it is somebody else's: 404."""


class TooLargeError(RefusedError):
    """Over a limit of size or of what may be stored: 413."""


class BusyError(RefusedError):
    """There is no room now, and later there may be: 429, 503."""


class ServerFailedError(RefusedError):
    """It failed for a reason of its own: every other status."""


_BY_STATUS: dict[int, type[RefusedError]] = {
    **dict.fromkeys((400, 405, 409, 415, 422), InvalidRequestError),
    **dict.fromkeys((401, 403), UnauthorizedError),
    404: NotFoundError,
    413: TooLargeError,
    **dict.fromkeys((429, 503), BusyError),
}


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> RefusedError:
    """The error of an answer whose status is no success."""
    kind = _BY_STATUS.get(status, ServerFailedError)
    return kind.of(status, document(body), _seconds(headers.get("retry-after", "")))


def document(body: bytes) -> dict[str, Any]:
    """An object of JSON; empty where it is none, as what a proxy says."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _seconds(header: str) -> float | None:
    """Of Retry-After: a number, or a moment."""
    if header.isascii() and header.isdecimal():
        return float(header[:9])
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
