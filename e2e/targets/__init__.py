"""What the suites run against: the embedded server of this machine, or the chart on a cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A CodeSession server. `keys` are those of its tenants, or empty where none is asked for."""

    name: str
    url: str
    keys: tuple[str, ...] = ()

    @property
    def key(self) -> str | None:
        return self.keys[0] if self.keys else None

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.keys[0]} if self.keys else {}


class TargetError(Exception):
    """Why there is nothing to test against."""
