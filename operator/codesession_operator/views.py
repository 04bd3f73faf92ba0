"""What the operator remembers of pods, volume claims and policies: the few fields that decisions need.

Ten thousand sessions have twenty thousand of these; whole objects would be a hundred megabytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from codesession_crds import labels
from codesession_crds.conditions import SessionReason

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
class PodView(Seen):
    template: str
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


def pod_view(obj: Object) -> PodView:
    status = obj.get("status", {})
    trouble, message = _trouble(status)
    gone_by = obj["metadata"].get("deletionTimestamp")
    return PodView(
        *_identity(obj),
        template=obj["metadata"].get("labels", {}).get(labels.TEMPLATE, ""),
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
    return metadata["name"], metadata["uid"], metadata["resourceVersion"], deleting, "".join(owners)


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
