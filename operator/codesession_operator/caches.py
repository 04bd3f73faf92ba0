"""What the cluster looks like, as far as was heard: one dict per kind, and an index of sessions.

Objects come from watches and from the answers to our own writes, in either order. So no object ever goes back
to an older version of itself, or to an earlier object of its name.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Generic, Protocol, TypeVar

from codesession_operator.room import lacks_room
from codesession_operator.views import SessionView


class _Versioned(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def version(self) -> str: ...


V = TypeVar("V", bound=_Versioned)


def is_older(version: str, than: str) -> bool:
    """Of two resource versions of one kind: they count upwards (promised since Kubernetes 1.35)."""
    return version.isdigit() and than.isdigit() and int(version) < int(than)


class Cache(Generic[V]):
    """Objects of one kind by name."""

    def __init__(self) -> None:
        self._objects: dict[str, V] = {}

    def get(self, name: str) -> V | None:
        return self._objects.get(name)

    def holds(self, obj: V) -> bool:
        """Whether nothing was heard of the object since it was like that."""
        return self._objects.get(obj.name) is obj

    def put(self, obj: V) -> bool:
        """Whether it says anything new."""
        old = self._objects.get(obj.name)
        if old is not None and is_older(obj.version, old.version):
            return False
        self._objects[obj.name] = obj
        return old != obj

    def remove(self, name: str, uid: str) -> bool:
        """Whether that very object was here; another one of its name stays."""
        old = self._objects.get(name)
        if old is None or old.uid != uid:
            return False
        del self._objects[name]
        return True

    def knows(self, name: str, version: str) -> bool:
        """Whether the object was heard of at that version or a later one."""
        obj = self._objects.get(name)
        return obj is not None and not is_older(obj.version, version)

    def all(self) -> list[V]:
        return list(self._objects.values())

    def __len__(self) -> int:
        return len(self._objects)


class SessionCache(Cache[SessionView]):
    """Sessions, also by environment: all, those that wait for an owner, and owned ones that wait for room."""

    def __init__(self) -> None:
        super().__init__()
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        self._warm: defaultdict[str, set[str]] = defaultdict(set)
        self._cramped: defaultdict[str, set[str]] = defaultdict(set)

    def put(self, obj: SessionView) -> bool:
        old = self.get(obj.name)
        news = super().put(obj)
        if news:
            if old is not None:
                self._forget(old)
            self._names[obj.environment].add(obj.name)
            if not obj.claimed:
                self._warm[obj.environment].add(obj.name)
            elif lacks_room(obj):
                self._cramped[obj.environment].add(obj.name)
        return news

    def remove(self, name: str, uid: str) -> bool:
        old = self.get(name)
        removed = super().remove(name, uid)
        if removed and old is not None:
            self._forget(old)
        return removed

    def names(self, environment: str) -> list[str]:
        return list(self._names[environment])

    def warm(self, environment: str) -> list[SessionView]:
        """Unclaimed and not being deleted."""
        waiting = (self.get(name) for name in self._warm[environment])
        return [session for session in waiting if session is not None and not session.deleting]

    def claimed(self, environment: str) -> int:
        return len(self._names[environment]) - len(self._warm[environment])

    def cramped(self, environment: str) -> bool:
        """Whether an owner waits for room."""
        return bool(self._cramped[environment])

    def _forget(self, session: SessionView) -> None:
        environment = session.environment
        self._names[environment].discard(session.name)
        self._warm[environment].discard(session.name)
        self._cramped[environment].discard(session.name)
