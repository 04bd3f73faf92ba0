"""Files that are read again when they changed, so that keys are rotated without a restart."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from codesession_api.settings import SettingsError

log = logging.getLogger(__name__)

RELOAD_SECONDS = 1.0

T = TypeVar("T")


class Reloaded(Generic[T]):
    """What `read` makes of the files that `paths` names. Both may raise OSError and ValueError, whose text is
    logged: at the start that is a SettingsError, later the value of before stays in use, so that a file that
    is half written locks nobody out."""

    def __init__(self, setting: str, paths: Callable[[], Iterable[Path]], read: Callable[[], T]) -> None:
        self._setting = setting
        self._paths = paths
        self._read = read
        self._looked = time.monotonic()
        try:
            self._stamps = self._stamp()
            self._value = read()
        except (OSError, ValueError) as error:
            raise SettingsError(f"{setting} cannot be used: {error}") from None

    def current(self) -> T:
        """At most a second old."""
        now = time.monotonic()
        if now - self._looked >= RELOAD_SECONDS:
            self._looked = now
            try:
                self._refresh()
            except (OSError, ValueError) as error:
                log.error("%s cannot be read again, what it held before stays: %s", self._setting, error)
        return self._value

    def _refresh(self) -> None:
        # Stamped before it is read: what is swapped in between is seen the next time.
        stamps = self._stamp()
        if stamps != self._stamps:
            self._value = self._read()
            self._stamps = stamps

    def _stamp(self) -> list[tuple[Path, int, int, int]]:
        """Of the files behind the links: a mounted ConfigMap changes by a swapped link to its directory."""
        stats = [(path, path.stat()) for path in self._paths()]
        return [(path, stat.st_mtime_ns, stat.st_ino, stat.st_size) for path, stat in stats]
