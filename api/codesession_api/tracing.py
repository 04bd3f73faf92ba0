"""Spans of what a request takes its time for, where `CODESESSION_TRACES_ENDPOINT` names a collector.

Without it every span is one object that does nothing, and OpenTelemetry's SDK is not imported. No attribute
has its value from code, names or contents of files, keys, or ids of sessions, which may be secrets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Protocol

from codesession_api.settings import Settings, SettingsError

Value = str | int | float | bool


class Span(Protocol):
    def set(self, **attributes: Value) -> None: ...

    def answered(self, method: str, route: str, status: int) -> None:
        """Of a request's own span: how it ended."""
        ...


class Tracer(Protocol):
    def span(self, name: str, attributes: dict[str, Value]) -> AbstractContextManager[Span]: ...

    def beside(self, name: str) -> AbstractContextManager[Span]: ...

    def request(self, traceparent: str) -> AbstractContextManager[Span]: ...

    def close(self) -> None: ...


class _Nothing:
    """A span that nobody sees, and the block of one."""

    def __enter__(self) -> Span:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def set(self, **attributes: Value) -> None:
        pass

    def answered(self, method: str, route: str, status: int) -> None:
        pass


NOTHING = _Nothing()
_tracer: Tracer | None = None


def span(name: str, **attributes: Value) -> AbstractContextManager[Span]:
    """A span of the block, within that of the block around it; none outside of a request. An exception is
    told by its type alone."""
    return NOTHING if _tracer is None else _tracer.span(name, attributes)


def beside(name: str) -> AbstractContextManager[Span]:
    """As `span`, for a generator: what happens while it has yielded is not within this span."""
    return NOTHING if _tracer is None else _tracer.beside(name)


def request(traceparent: str) -> AbstractContextManager[Span]:
    """The span of a whole request, within its client's if the W3C header names one."""
    return NOTHING if _tracer is None else _tracer.request(traceparent)


def is_on() -> bool:
    return _tracer is not None


@contextmanager
def opened(settings: Settings) -> Iterator[None]:
    """Spans are recorded in the block, and sent. Raises SettingsError when OpenTelemetry is not installed."""
    global _tracer
    if settings.traces_endpoint is None:
        yield
        return
    try:
        from codesession_api.otel import OtelTracer
    except ImportError as error:
        raise SettingsError(
            f"CODESESSION_TRACES_ENDPOINT needs the extra `traces`: {error.name} is missing"
        ) from None
    _tracer = OtelTracer(settings.traces_endpoint)
    try:
        yield
    finally:
        _tracer.close()
        _tracer = None
