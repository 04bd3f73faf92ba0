"""Claims as decisions: which session to take, what to write into it, when to write again. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from codesession_api.ports import Live, Principal
from codesession_crds import labels
from codesession_crds.model import API_VERSION

Manifest = dict[str, Any]

_SAMPLE = 64
"""A pool may be of thousands, and a claim needs but one."""


@dataclass(frozen=True, slots=True)
class SessionView:
    """What the API needs to know of a CodeSession."""

    name: str
    uid: str
    version: str
    """Its resourceVersion."""
    environment: str
    owner: Principal | None
    claimed_at: datetime | None
    shutdown_time: datetime | None
    max_lifetime: timedelta
    running: bool
    """Wanted to run, and not being deleted."""
    phase: str
    reason: str
    pod: str
    pod_uid: str
    hint: str = ""
    suspended: bool = False
    """Wanted to stand still with its files kept, and not being deleted."""
    volume: str = ""
    """What holds its files, if not the pod itself does."""
    restarts: int = 0
    """How many of its pods were lost."""

    @property
    def ready(self) -> bool:
        return self.running and self.phase == "Ready" and bool(self.pod_uid)

    @property
    def warm(self) -> bool:
        """Ready for its first owner."""
        return self.ready and self.owner is None

    @property
    def lost(self) -> bool:
        """Whether its pod is gone or failed, and there is no other yet."""
        return not self.ready and self.reason in ("PodLost", "PodFailed")

    @property
    def bereft(self) -> bool:
        """Whether its files went with a pod. The store has them: a new session is better than this one."""
        return not self.volume and (self.restarts > 0 or self.suspended)

    @property
    def lacks_room(self) -> bool:
        """Whether it has to wait until others end."""
        return self.reason in ("QuotaExceeded", "Unschedulable")

    def expired(self, now: datetime) -> bool:
        return self.shutdown_time is not None and self.shutdown_time <= now


def parse_session(manifest: Mapping[str, Any]) -> SessionView:
    metadata, spec, status = manifest["metadata"], manifest["spec"], manifest.get("status", {})
    claim = spec.get("claim")
    conditions = status.get("conditions") or [{}]
    mode = None if "deletionTimestamp" in metadata else spec.get("operatingMode", "Running")
    return SessionView(
        name=metadata["name"],
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        environment=spec["environmentRef"]["name"],
        owner=Principal(claim["tenant"], claim["principal"]) if claim else None,
        claimed_at=_parse_time(claim["claimedAt"]) if claim else None,
        shutdown_time=_parse_time(spec["shutdownTime"]) if spec.get("shutdownTime") else None,
        max_lifetime=timedelta(seconds=spec["maxLifetimeSeconds"]),
        running=mode == "Running",
        phase=status.get("phase", "Pending"),
        reason=conditions[0].get("reason", "Pending"),
        pod=status.get("podName") or "",
        pod_uid=status.get("podUID") or "",
        hint=metadata.get("labels", {}).get(labels.HINT, ""),
        suspended=mode == "Suspended",
        volume=status.get("pvcName") or "",
        restarts=status.get("restartCount", 0),
    )


def candidates(
    warm: Mapping[str, SessionView],
    near: Iterable[str],
    *,
    but: Container[str],
    shuffle: Callable[[list[SessionView]], None] = random.shuffle,
) -> list[SessionView]:
    """Sessions to try, best first: those that are `near`, for there is a stream to them, then some others,
    each group in random order so that replicas seldom meet. Empty only if there is none `but` those to leave
    out."""
    first = [warm[name] for name in near if name in warm and name not in but]
    others = list(warm.values())
    if len(others) > _SAMPLE:
        others = random.sample(others, _SAMPLE)
    rest = _others(others, first, but)
    if not first and not rest:
        rest = _others(warm.values(), first, but)
    shuffle(first)
    shuffle(rest)
    return first + rest


def _others(
    views: Iterable[SessionView], first: Iterable[SessionView], but: Container[str]
) -> list[SessionView]:
    tried = {view.name for view in first}
    return [view for view in views if view.name not in tried and view.name not in but]


def hinted(
    sessions: Iterable[SessionView], principal: Principal, hint: str, *, but: Container[str], now: datetime
) -> list[SessionView]:
    """The live sessions that the principal claimed with this hint, the oldest first: so all replicas choose
    the same one where two requests raced and each claimed its own."""
    same = (view for view in sessions if view.hint == hint and view.owner == principal)
    live = [view for view in same if view.ready and not view.expired(now) and view.name not in but]
    return sorted(live, key=lambda view: (view.claimed_at or now, view.name))


def live(sessions: Iterable[SessionView], principal: Principal, now: datetime) -> list[Live]:
    """Those of the principal that can be used, the newest first."""
    found = [
        Live(view.name, view.claimed_at, view.shutdown_time)
        for view in sessions
        if view.owner == principal and view.ready and not view.bereft and not view.expired(now)
        if view.claimed_at and view.shutdown_time
    ]
    return sorted(found, key=lambda one: one.claimed, reverse=True)


def claim_of(
    principal: Principal, now: datetime, idle: timedelta, max_lifetime: timedelta, hint: str | None = None
) -> Manifest:
    """The part of a CodeSession that makes it a principal's."""
    spec = {
        "claim": {
            "tenant": principal.tenant,
            "principal": principal.principal,
            "claimedAt": _format_time(now),
        },
        "shutdownTime": _format_time(_whole(now) + min(idle, max_lifetime)),
    }
    return {"spec": spec} if hint is None else {"metadata": {"labels": {labels.HINT: hint}}, "spec": spec}


def new_session(name: str, environment: str, claim: Manifest, max_lifetime: timedelta) -> Manifest:
    """A CodeSession that is claimed from its beginning."""
    lifetime = int(max_lifetime.total_seconds())
    spec = {"environmentRef": {"name": environment}, "maxLifetimeSeconds": lifetime, **claim["spec"]}
    metadata = {"name": name, **claim.get("metadata", {})}
    return {"apiVersion": API_VERSION, "kind": "CodeSession", "metadata": metadata, "spec": spec}


def extension(view: SessionView, now: datetime, idle: timedelta, run: timedelta) -> Manifest | None:
    """The part of `spec` that keeps a used session alive; None while enough is left: half of the idle time,
    and the time of one run."""
    if view.claimed_at is None or view.shutdown_time is None:
        return None
    latest = view.claimed_at + view.max_lifetime
    wanted = min(_whole(now) + idle, latest)
    enough = now + max(idle / 2, min(run, idle))
    if view.shutdown_time >= min(enough, latest) or wanted <= view.shutdown_time:
        return None
    return {"shutdownTime": _format_time(wanted)}


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def _format_time(moment: datetime) -> str:
    return _whole(moment.astimezone(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text)
