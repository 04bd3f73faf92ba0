"""What is known, and whom news concerns: caches kept by what is heard, and the keys that each word wakes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any

from codesession_crds.environment import CodeEnvironment
from codesession_crds.paths import (
    CODE_ENVIRONMENTS,
    CODE_SESSIONS,
    NETWORK_POLICIES,
    PODS,
    VOLUME_CLAIMS,
    Resource,
)
from codesession_crds.session import CodeSession
from codesession_operator.caches import Cache, SessionCache
from codesession_operator.room import lacks_room
from codesession_operator.views import (
    PodView,
    PolicyView,
    Seen,
    SessionView,
    pod_view,
    policy_view,
    session_view,
    volume_view,
)
from codesession_operator.workqueue import Key

logger = logging.getLogger(__name__)

Object = dict[str, Any]

NAMESPACE = Key("namespace", "")


def session_key(name: str) -> Key:
    return Key("session", name)


def environment_key(name: str) -> Key:
    return Key("environment", name)


def _session(obj: Object) -> SessionView:
    return session_view(CodeSession.model_validate(obj))


@dataclass(frozen=True, slots=True)
class _Kind:
    cache: Cache[Any]
    read: Callable[[Object], Any]
    changed: Callable[[Any, Any], None]
    """Takes the object as it was and as it is; None where there is none."""


class World:
    """One namespace as far as it was heard of. `wake` is called with each key whose plan may have changed."""

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self.wake = wake
        self.sessions = SessionCache()
        self.environments: Cache[CodeEnvironment] = Cache()
        self.pods: Cache[PodView] = Cache()
        self.volumes: Cache[Seen] = Cache()
        self.policies: Cache[PolicyView] = Cache()
        self.guarded: dict[str, int] = {}
        """The generation of each environment for which policy and limits are in place."""
        self.last_heard: dict[Resource, float] = {}
        """When the watch of a kind told something last, in seconds of the monotonic clock."""
        self.kinds = {
            CODE_SESSIONS: _Kind(self.sessions, _session, self._session_changed),
            CODE_ENVIRONMENTS: _Kind(
                self.environments, CodeEnvironment.model_validate, self._environment_changed
            ),
            PODS: _Kind(self.pods, pod_view, self._child_changed),
            VOLUME_CLAIMS: _Kind(self.volumes, volume_view, self._child_changed),
            NETWORK_POLICIES: _Kind(self.policies, policy_view, self._policy_changed),
        }

    def heard(self, resource: Resource, obj: Object) -> None:
        """That is what the object is like."""
        kind = self.kinds[resource]
        try:
            new = kind.read(obj)
        except (ValueError, KeyError) as error:
            # Not the error's text: it quotes the object.
            logger.error(
                "cannot read %s %s: %s", resource.kind, obj["metadata"]["name"], type(error).__name__
            )
            return
        old = kind.cache.get(new.name)
        if kind.cache.put(new):
            kind.changed(old, new)

    def gone(self, resource: Resource, name: str, uid: str) -> None:
        """That very object is no more."""
        kind = self.kinds[resource]
        old = kind.cache.get(name)
        if kind.cache.remove(name, uid):
            kind.changed(old, None)

    def forget(self, resource: Resource, before: Iterable[Any], listed: Container[str]) -> None:
        """Of what was known before a list was asked for, that is gone which is not in it; unless it was heard
        of since."""
        kind = self.kinds[resource]
        for obj in before:
            if obj.name not in listed and kind.cache.holds(obj):
                logger.info("%s %s is gone, unheard", resource.kind, obj.name)
                self.gone(resource, obj.name, obj.uid)

    def is_guarded(self, environment: CodeEnvironment | None) -> bool:
        return (
            environment is not None and self.guarded.get(environment.name) == environment.metadata.generation
        )

    def _session_changed(self, old: SessionView | None, new: SessionView | None) -> None:
        for session in (old, new):
            if session is not None:
                self.wake(session_key(session.name))
        if old is None or new is None or not old.claimed or lacks_room(old) != lacks_room(new):
            session = new or old
            assert session is not None
            self.wake(environment_key(session.environment))

    def _environment_changed(self, old: CodeEnvironment | None, new: CodeEnvironment | None) -> None:
        environment = new or old
        assert environment is not None
        if old is None or new is None or old.metadata.generation != new.metadata.generation:
            self.wake(NAMESPACE)
        self.wake(environment_key(environment.name))
        if new is None:
            self.guarded.pop(environment.name, None)
            self.wake_sessions(environment.name)

    def wake_sessions(self, environment: str) -> None:
        """Those without a pod, as an environment matters to the making of pods; if it is gone, all."""
        exists = self.environments.get(environment) is not None
        for name in self.sessions.names(environment):
            if not exists or self.pods.get(name) is None:
                self.wake(session_key(name))

    def _child_changed(self, old: PodView | Seen | None, new: PodView | Seen | None) -> None:
        child = new or old
        assert child is not None
        self.wake(session_key(child.name))

    def _policy_changed(self, old: PolicyView | None, new: PolicyView | None) -> None:
        policy = new or old
        assert policy is not None
        self.guarded.pop(policy.environment, None)
        self.wake(environment_key(policy.environment))
