"""Log lines of the services: one JSON object for machines, or plain for people. Of an exception there is only
its type and its frames, since its text may hold what a user sent."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class PlainFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802  (logging's name)
        return "\n".join(_frames(ei))


class JsonFormatter(logging.Formatter):
    """`around` tells what the lines are about that are written now; `hidden` are extras that are left out."""

    def __init__(
        self, around: Callable[[], Mapping[str, object]], *, hidden: frozenset[str] = frozenset()
    ) -> None:
        super().__init__()
        self._around = around
        self._left_out = _OWN | hidden

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._around(),
        }
        entry.update({name: value for name, value in vars(record).items() if name not in self._left_out})
        if record.exc_info:
            entry["exception"] = _frames(record.exc_info)
        return json.dumps(entry, default=str)


def to_stderr(level: str, formatter: logging.Formatter) -> None:
    """The whole process logs there, whatever logged elsewhere before."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _frames(info: ExceptionInfo) -> list[str]:
    """The type of the exception and where it came from, the innermost frame last; then those of a group."""
    kind, error, trace = info
    if kind is None:
        return []
    frames = traceback.extract_tb(trace)
    told = [kind.__name__, *(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)]
    for one in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        told += _frames((type(one), one, one.__traceback__))
    return told
