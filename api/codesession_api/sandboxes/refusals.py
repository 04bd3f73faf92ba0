"""What the runner's error codes are to the API. Its messages are hostile text: kept short and to one line."""

from __future__ import annotations

from typing import Any

from codesession_api.errors import (
    SandboxBadRequest,
    SandboxBusy,
    SandboxConflict,
    SandboxError,
    SandboxFileMissing,
    SandboxFileTooLarge,
    SandboxNoSpace,
    SandboxRunUnknown,
    SandboxUnsupportedLanguage,
)

_CODES: dict[str, type[SandboxError]] = {
    "bad_request": SandboxBadRequest,
    "not_found": SandboxFileMissing,
    "too_large": SandboxFileTooLarge,
    "no_space": SandboxNoSpace,
    "unsupported_language": SandboxUnsupportedLanguage,
    "busy": SandboxBusy,
    "unknown_run": SandboxRunUnknown,
    "conflict": SandboxConflict,
}
_MAX_MESSAGE = 200


def refusal(end: dict[str, Any]) -> SandboxError:
    """The error that an END with an `error` stands for."""
    error = end["error"]
    code, message = (error.get("code"), error.get("message")) if isinstance(error, dict) else (None, None)
    kind = _CODES.get(code, SandboxError) if isinstance(code, str) else SandboxError
    return kind(one_line(message) if isinstance(message, str) else "the sandbox refused without a reason")


def one_line(text: str) -> str:
    """`text` as a short printable line."""
    return "".join(char if char.isprintable() else " " for char in text[:_MAX_MESSAGE])
