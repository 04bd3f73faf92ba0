# ruff: noqa: N818  (these are conditions of sandboxes and stores, named as what they are)
"""What can go wrong, one class per cause, and how each is said to a client.

Messages are for people: they never hold a body, code, a key or a token. What a user's code did wrong is no
error at all, but text in `stderr` of an answer with status 200, because LibreChat shows no other body.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class ApiError(Exception):
    """A refusal with its HTTP status, a closed word for programs and a sentence for people."""

    def __init__(self, status: int, code: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        """Seconds after which trying again makes sense."""

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"error": self.code, "message": self.message}
        if self.retry_after is not None:
            body["retry_after_seconds"] = self.retry_after
        return body

    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class TooLarge(ApiError):
    """One thing is over its limit: `what` is a file, or the upload as a whole."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(413, "too_large", f"The {what} is over the limit of {limit} bytes.")
        self.what = what


class Unauthorized(ApiError):
    """The same words whatever was wrong. `schemes` are those of HTTP that the configuration takes."""

    def __init__(self, schemes: Sequence[str]) -> None:
        super().__init__(401, "unauthorized", "The request needs valid credentials.")
        self._schemes = schemes

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": ", ".join(f'{scheme} realm="codesession"' for scheme in self._schemes)}


class QuotaExceeded(ApiError):
    """All that somebody stores is over a limit; the message names it."""

    def __init__(self, message: str) -> None:
        super().__init__(413, "quota_exceeded", message)


class RangeNotSatisfiable(ApiError):
    """A download of no byte that the file has; `size` is how many it has."""

    def __init__(self, size: int) -> None:
        super().__init__(416, "range_not_satisfiable", f"The file has {size} bytes.")
        self._size = size

    def headers(self) -> dict[str, str]:
        return {"Content-Range": f"bytes */{self._size}"}


class SandboxError(Exception):
    """One sandbox did not do what it was asked: the base of the causes below."""


class SandboxLost(SandboxError):
    """The sandbox or the way to it is gone for good: pod deleted, restarted, or speaking nonsense."""


class SandboxRunUnknown(SandboxLost):
    """The sandbox knows no such run: it never began, or was forgotten, or another process has taken over."""


class SandboxConflict(SandboxError):
    """Somebody else has answered these calls of the run."""


class SandboxBadRequest(SandboxError):
    """The runner refused a request as malformed, for example a path that leaves the workspace."""


class SandboxUnsupportedLanguage(SandboxError):
    """The sandbox has no interpreter for the language."""


class SandboxBusy(SandboxError):
    """Too many runs wait for this session."""


class SandboxFileMissing(SandboxError):
    """There is no regular file at the path."""


class SandboxFileTooLarge(SandboxError):
    """The file is over the environment's limit of one file."""


class SandboxNoSpace(SandboxError):
    """The workspace is full."""


class SandboxesBusy(Exception):
    """No sandbox came free within the claim timeout, or a quota is used up: trying later helps."""

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds."""


class SandboxesUnavailable(Exception):
    """No claim can be served at all: the cluster does not answer, or the environment is missing or broken."""


class ObjectMissing(Exception):
    """There is no object of that key."""


class ObjectsUnavailable(Exception):
    """The object store does not answer, or answers with a failure of its own."""


def not_found(what: str) -> ApiError:
    """One answer for what does not exist and for what is another tenant's."""
    return ApiError(404, "not_found", f"There is no such {what}.")


def bad_request(message: str) -> ApiError:
    return ApiError(400, "bad_request", message)


def invalid_field(message: str) -> ApiError:
    """JSON that can be read, with a field that cannot be meant."""
    return ApiError(422, "invalid_field", message)


def unsupported_media_type(message: str) -> ApiError:
    return ApiError(415, "unsupported_media_type", message)


def rate_limited(message: str, retry_after: int) -> ApiError:
    """The word by which LibreChat tells its model when to come again."""
    return ApiError(429, "rate_limited", message, retry_after)


def refusal(error: Exception) -> ApiError:
    """The answer to a request that a port could not serve; everything unforeseen is a 500 without details."""
    match error:
        case ApiError():
            return error
        case SandboxesBusy():
            return rate_limited(str(error), error.retry_after)
        case SandboxBusy():
            return rate_limited("Too many runs wait for this session.", 5)
        case SandboxConflict():
            return ApiError(409, "conflict", "These calls were answered by another request.")
        case SandboxesUnavailable():
            return ApiError(503, "sandboxes_unavailable", str(error), 5)
        case ObjectsUnavailable():
            return ApiError(503, "storage_unavailable", "The file storage does not answer.", 5)
        case ObjectMissing():
            return not_found("file")
        case SandboxError():
            return ApiError(503, "sandbox_failed", "The sandbox could not serve the request.", 1)
        case _:
            return ApiError(500, "internal_error", "The request failed for a reason of the server's own.")
