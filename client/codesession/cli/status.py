"""Exit statuses: of a run its own, and those of sysexits.h where there was none."""

from __future__ import annotations

import signal

from codesession.errors import (
    BusyError,
    CodeSessionError,
    InvalidRequestError,
    NotFoundError,
    TooLargeError,
    UnauthorizedError,
    UnreachableError,
)
from codesession.models import Result

OK = 0
USAGE = 64
INVALID = 65
NO_INPUT = 66
UNREACHABLE = 69
FAILED = 70
NO_OUTPUT = 73
BUSY = 75
NO_PERMISSION = 77
TIME_LIMIT = 124
OUTPUT_LIMIT = 125
CANCELLED = 128 + signal.SIGINT
BROKEN_PIPE = 128 + signal.SIGPIPE


class OutputError(CodeSessionError):
    """A file cannot be written on this machine."""


_OF_ERRORS: tuple[tuple[type[Exception], int], ...] = (
    (BusyError, BUSY),
    (UnreachableError, UNREACHABLE),
    (UnauthorizedError, NO_PERMISSION),
    (NotFoundError, NO_INPUT),
    (InvalidRequestError, INVALID),
    (TooLargeError, INVALID),
    (OutputError, NO_OUTPUT),
    (CodeSessionError, FAILED),
    (ValueError, USAGE),
)
_OF_STATUS = {"TO": TIME_LIMIT, "OL": OUTPUT_LIMIT, "OM": 128 + signal.SIGKILL}


def of_error(error: Exception) -> int:
    return next((status for kind, status in _OF_ERRORS if isinstance(error, kind)), FAILED)


def of_run(result: Result) -> int:
    """What the program returned; of one that was ended, as a shell and `timeout` tell it."""
    if result.status in _OF_STATUS:
        return _OF_STATUS[result.status]
    if result.exit_code is not None:
        return result.exit_code & 255
    number = getattr(signal, result.signal or "", None)
    if isinstance(number, signal.Signals):
        return 128 + number
    return INVALID if result.session_id is None or result.status == "RE" else FAILED
