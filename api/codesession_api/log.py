"""Logs: one JSON object a line for machines, plain lines for people. Bodies, code, keys and query strings are
not in them."""

from __future__ import annotations

import logging
from contextvars import ContextVar

from codesession_crds.log import JsonFormatter, PlainFormatter, to_stderr

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def configure(level: str, *, machine: bool) -> None:
    """The whole process logs to stderr, uvicorn and the clients of Kubernetes and S3 included."""
    to_stderr(level, formatter(machine=machine))
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).propagate = True
        logging.getLogger(name).handlers.clear()
    for name in ("asyncio", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Its warnings quote bytes of a malformed body.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)


def formatter(*, machine: bool) -> logging.Formatter:
    return JsonFormatter(_around) if machine else PlainFormatter()


def _around() -> dict[str, str]:
    current = request_id.get()
    return {} if current is None else {"request_id": current}
