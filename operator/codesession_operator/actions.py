"""What a plan wants done, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codesession_crds.paths import Resource

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Deletion:
    """Of that very object; with `version`, only if it is still as it was seen; with `force`, without waiting
    for its node to confirm."""

    resource: Resource
    name: str
    uid: str
    version: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """A Kubernetes Event about the reconciled object, for people."""

    reason: str
    message: str
    warning: bool = True


@dataclass(frozen=True, slots=True)
class Actions:
    """To carry out in this order. Status waits for a pass in which nothing else is left to do, so that it is
    written once, with what came of the rest."""

    create: tuple[Object, ...] = ()
    apply: tuple[Object, ...] = ()
    delete: tuple[Deletion, ...] = ()
    status: Object | None = None
    notice: Notice | None = None
    requeue_after: float | None = None
    """Seconds until time alone may change the plan."""
    refused: bool = False
    """The API server's last no still holds."""

    @property
    def changes_objects(self) -> bool:
        return bool(self.create or self.apply or self.delete)


NOTHING = Actions()
