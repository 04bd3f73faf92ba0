"""Logs: one JSON object a line, kopf's included, with the object that was being reconciled."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from codesession_crds.log import JsonFormatter, to_stderr
from codesession_operator.workqueue import Key

_key: ContextVar[Key | None] = ContextVar("key", default=None)

_OF_KOPF = frozenset({"k8s_skip", "k8s_ref", "settings"})
"""Extras of kopf's loggers for objects: kopf's own settings, and what has no event here."""


def configure(level: str) -> None:
    """The whole process logs to stderr."""
    to_stderr(level, JsonFormatter(_around, hidden=_OF_KOPF))
    for name in ("asyncio", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def about(key: Key) -> Iterator[None]:
    """What is logged in the block names `key`."""
    token = _key.set(key)
    try:
        yield
    finally:
        _key.reset(token)


def _around() -> dict[str, str]:
    key = _key.get()
    return {} if key is None else {key.kind: key.name}
