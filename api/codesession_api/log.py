"""Logs: one JSON object a line for machines, plain lines for people. Bodies, code, keys and query strings are
not in them, and of an exception only its type and its frames, since its text may hold what a user sent."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class PlainFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802  (logging's name)
        return "\n".join(_frames(ei))


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (current := request_id.get()) is not None:
            entry["request_id"] = current
        entry.update({name: value for name, value in vars(record).items() if name not in _OWN})
        if record.exc_info:
            entry["exception"] = _frames(record.exc_info)
        return json.dumps(entry, default=str)


def configure(level: str, *, machine: bool) -> None:
    """The whole process logs to stderr, uvicorn and the clients of Kubernetes and S3 included."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if machine else PlainFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).propagate = True
        logging.getLogger(name).handlers.clear()
    for name in ("asyncio", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Its warnings quote bytes of a malformed body.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)


def _frames(info: ExceptionInfo) -> list[str]:
    """The type of the exception and where it came from, the innermost frame last."""
    kind, _, trace = info
    if kind is None:
        return []
    frames = traceback.extract_tb(trace)
    return [kind.__name__, *(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)]
