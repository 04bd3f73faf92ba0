"""What the operator remembers of objects: the few fields that decisions need.

Ten thousand sessions have twenty thousand of these; whole objects would be hundreds of megabytes. Names and
UIDs are in several of them and in keys: interned, so that each is there once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from sys import intern
from typing import Any, ClassVar

from codesession_crds import labels
from codesession_crds.conditions import SessionReason
from codesession_crds.paths import CODE_SESSIONS
from codesession_crds.session import CodeSession, OperatingMode, Phase

Object = dict[str, Any]

_MESSAGE = 512
_PULL_FAILURES = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"}
)


@dataclass(frozen=True, slots=True)
class Seen:
    """Of any object."""

    name: str
    uid: str
    version: str = field(compare=False)
    deleting: bool
    owner: str
    """UID of the resource that it was made for."""


@dataclass(frozen=True, slots=True)
class ReadyView:
    """A session's Ready condition."""

    status: str
    reason: SessionReason
    message: str
    last_transition_time: datetime


@dataclass(frozen=True, slots=True)
class SessionView:
    """A CodeSession: as the models have it, without the layers."""

    kind: ClassVar = CODE_SESSIONS.kind

    name: str
    namespace: str | None
    uid: str
    version: str = field(compare=False)
    generation: int
    created_at: datetime | None
    deleting: bool
    environment: str
    claimed: bool
    suspended: bool
    shutdown_time: datetime | None
    phase: Phase
    pod_uid: str | None
    pvc_name: str | None
    restart_count: int
    ready: ReadyView | None

    @property
    def is_ready(self) -> bool:
        return self.ready is not None and self.ready.status == "True"

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.shutdown_time is not None and now >= self.shutdown_time


@dataclass(frozen=True, slots=True)
class PodView(Seen):
    template: str
    created_at: datetime
    ready: bool
    finished_at: datetime | None
    """When it ended for good; a pod never starts again (restartPolicy Never)."""
    gone_by: datetime | None
    """When it should be gone, if it is being deleted."""
    trouble: SessionReason
    """Why it is not ready, in a session's terms; meaningless when it is."""
    message: str


@dataclass(frozen=True, slots=True)
class PolicyView(Seen):
    environment: str
    spec: Object


def session_view(session: CodeSession) -> SessionView:
    metadata, spec, status = session.metadata, session.spec, session.status
    return SessionView(
        name=intern(metadata.name),
        namespace=_interned(metadata.namespace),
        uid=intern(metadata.uid),
        version=metadata.resource_version,
        generation=metadata.generation,
        created_at=metadata.creation_timestamp,
        deleting=session.deleting,
        environment=intern(spec.environment_ref.name),
        claimed=spec.claim is not None,
        suspended=spec.operating_mode is OperatingMode.SUSPENDED,
        shutdown_time=spec.shutdown_time,
        phase=status.phase,
        pod_uid=_interned(status.pod_uid),
        pvc_name=_interned(status.pvc_name),
        restart_count=status.restart_count,
        ready=_ready_view(session),
    )


def _ready_view(session: CodeSession) -> ReadyView | None:
    ready = session.ready
    if ready is None:
        return None
    return ReadyView(intern(ready.status), ready.reason, ready.message, ready.last_transition_time)


def _interned(text: str | None) -> str | None:
    return None if text is None else intern(text)


def pod_view(obj: Object) -> PodView:
    status = obj.get("status", {})
    trouble, message = _trouble(status)
    gone_by = obj["metadata"].get("deletionTimestamp")
    return PodView(
        *_identity(obj),
        template=intern(obj["metadata"].get("labels", {}).get(labels.TEMPLATE, "")),
        created_at=datetime.fromisoformat(obj["metadata"]["creationTimestamp"]),
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", [])),
        finished_at=_finished_at(obj, status),
        gone_by=None if gone_by is None else datetime.fromisoformat(gone_by),
        trouble=trouble,
        message=message[:_MESSAGE],
    )


def volume_view(obj: Object) -> Seen:
    return Seen(*_identity(obj))


def policy_view(obj: Object) -> PolicyView:
    environment = obj["metadata"].get("labels", {}).get(labels.ENVIRONMENT, "")
    return PolicyView(*_identity(obj), environment=environment, spec=obj.get("spec", {}))


def _identity(obj: Object) -> tuple[str, str, str, bool, str]:
    metadata = obj["metadata"]
    deleting = metadata.get("deletionTimestamp") is not None
    owners = [one["uid"] for one in metadata.get("ownerReferences", []) if one.get("controller")]
    name, uid, owner = intern(metadata["name"]), intern(metadata["uid"]), intern("".join(owners))
    return name, uid, metadata["resourceVersion"], deleting, owner


def _containers(status: Object) -> list[Object]:
    return status.get("containerStatuses") or [{}]


def _finished_at(obj: Object, status: Object) -> datetime | None:
    if status.get("phase") not in ("Failed", "Succeeded"):
        return None
    ended = [
        c["state"]["terminated"].get("finishedAt")
        for c in _containers(status)
        if "terminated" in c.get("state", {})
    ]
    times = [time for time in ended if time] or [obj["metadata"]["creationTimestamp"]]
    return datetime.fromisoformat(max(times))


def _trouble(status: Object) -> tuple[SessionReason, str]:
    if status.get("phase") in ("Failed", "Succeeded"):
        return SessionReason.POD_FAILED, _end(status)
    for condition in status.get("conditions", []):
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            return SessionReason.POD_LOST, f"{condition.get('reason')}: {condition.get('message', '')}"
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return _unschedulable(condition.get("message", ""))
    waiting = _containers(status)[0].get("state", {}).get("waiting", {})
    if waiting.get("reason") in _PULL_FAILURES:
        return SessionReason.IMAGE_PULL_FAILED, f"{waiting['reason']}: {waiting.get('message', '')}"
    if _containers(status)[0].get("started"):
        return SessionReason.POD_PENDING, "the sandbox was ready and is not: its node may be lost"
    return SessionReason.POD_PENDING, waiting.get("message", "") or "the sandbox is starting"


def _unschedulable(message: str) -> tuple[SessionReason, str]:
    if "persistentvolumeclaim" in message.lower():
        return SessionReason.WORKSPACE_PENDING, message
    return SessionReason.UNSCHEDULABLE, message


def _end(status: Object) -> str:
    """How a pod ended: evicted with a reason, or its container with a signal or code."""
    if status.get("reason"):
        return f"{status['reason']}: {status.get('message', '')}"
    terminated = _containers(status)[0].get("state", {}).get("terminated", {})
    return f"{terminated.get('reason', 'ended')}, exit code {terminated.get('exitCode', 'unknown')}"
