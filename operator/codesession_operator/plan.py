"""What a session needs next: a pure function of what was seen and the time.

Each call gives one step. The caches learn what came of it and the next call gives the next, so a restart
between any two steps loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from codesession_crds.conditions import SessionCondition, SessionReason, transition_time
from codesession_crds.environment import CodeEnvironment
from codesession_crds.paths import CODE_SESSIONS, PODS
from codesession_crds.session import Phase, SessionStatus
from codesession_operator.actions import NOTHING, Actions, Deletion, Notice
from codesession_operator.builders.pod import pod as build_pod
from codesession_operator.builders.workspace import volume_claim
from codesession_operator.views import PodView, Seen, SessionView

ORPHAN_SECONDS = 30
"""How long an unclaimed session may wait for its environment to appear."""
FORCE_SECONDS = 60
"""How long after its time a pod may linger. Its node is gone then, or not in order; the API server keeps such
a pod for ever, and no other can have its name."""
_LONGEST_BACKOFF = 60.0
_PROVISION_SECONDS = 5.0
"""A volume that binds when its pod is scheduled is missing at first, always, and that is no news: it would be
three more writes a session."""
_QUIET = frozenset({SessionReason.READY, SessionReason.POD_PENDING, SessionReason.SUSPENDED})
_GONE = frozenset({SessionReason.POD_FAILED, SessionReason.POD_LOST})


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server's last no to a child of the session."""

    reason: SessionReason
    message: str
    until: datetime
    """When to ask again."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A session and all that bears on it."""

    session: SessionView
    environment: CodeEnvironment | None
    guarded: bool
    """The environment's policy and limits are in place."""
    pod: PodView | None = None
    volume: Seen | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    phase: Phase
    reason: SessionReason
    message: str
    pod: PodView | None = None
    restarts: int = 0
    create: tuple[dict[str, Any], ...] = ()
    delete: tuple[Deletion, ...] = ()
    wait: float | None = None
    refused: bool = False


def plan(seen: Observed, now: datetime, max_restarts: int) -> Actions:
    """The next step. Nothing for a session that is being deleted: what it owns goes with it."""
    session, forced_in = seen.session, seconds_until_forced(seen.pod, now)
    if seen.pod is not None and forced_in is not None and forced_in <= 0:
        return Actions(delete=(Deletion(PODS, seen.pod.name, seen.pod.uid, force=True),))
    if session.deleting:
        return NOTHING if forced_in is None else Actions(requeue_after=forced_in)
    if session.expired(now):
        return _end(session, SessionReason.EXPIRED, "its shutdownTime has come")
    if not session.claimed and (spoilt := _spoilt(seen, now)):
        return _end(session, *spoilt)
    step = _step(_without_strangers(seen), now, max_restarts)
    status = _status(session, step, seen.volume, now)
    return Actions(
        create=step.create,
        delete=step.delete,
        status=status,
        notice=_notice(session, step) if status else None,
        requeue_after=soonest(step.wait, _seconds_left(session, now), forced_in),
        refused=step.refused,
    )


def _end(session: SessionView, reason: SessionReason, message: str) -> Actions:
    """Delete it as it was seen: one that was claimed or prolonged meanwhile stays."""
    deletion = Deletion(CODE_SESSIONS, session.name, session.uid, session.version)
    return Actions(delete=(deletion,), notice=Notice(reason, message, warning=reason in _GONE))


def _spoilt(seen: Observed, now: datetime) -> tuple[SessionReason, str] | None:
    """Why an unclaimed session is of no more use: a fresh one is as good."""
    pod, recorded = seen.pod, seen.session.pod_uid
    if seen.environment is None:
        created = seen.session.created_at
        if created is None or now - created < timedelta(seconds=ORPHAN_SECONDS):
            return None
        return SessionReason.ENVIRONMENT_MISSING, "its environment does not exist"
    if pod is not None and pod.finished_at is not None:
        return SessionReason.POD_FAILED, pod.message
    if recorded is not None and (pod is None or pod.deleting or pod.uid != recorded):
        return SessionReason.POD_LOST, "its pod was deleted"
    return None


def _without_strangers(seen: Observed) -> Observed:
    """What was made for an earlier session of this name is about to go; until then it is in the way."""
    pod, volume, uid = seen.pod, seen.volume, seen.session.uid
    if pod is not None and pod.owner != uid:
        pod = replace(pod, deleting=True)
    if volume is not None and volume.owner != uid:
        volume = replace(volume, deleting=True)
    return replace(seen, pod=pod, volume=volume)


def _step(seen: Observed, now: datetime, max_restarts: int) -> _Step:
    if seen.session.suspended:
        return _stopped(seen, Phase.SUSPENDED, SessionReason.SUSPENDED, "suspended; the workspace is kept")
    if seen.environment is None:
        wait = None if seen.session.claimed else float(ORPHAN_SECONDS)
        missing = f"there is no environment {seen.session.environment}"
        return _stopped(seen, Phase.PENDING, SessionReason.ENVIRONMENT_MISSING, missing, wait)
    recorded = seen.session.pod_uid
    if recorded is not None and _is_lost(seen.pod, recorded):
        return _lost(seen)
    if seen.pod is None:
        return _start(seen, seen.environment, now, max_restarts)
    if seen.pod.deleting:
        return _unchanged(seen, "an earlier pod is being deleted")
    if seen.pod.finished_at is not None:
        return _failed(seen, seen.pod, seen.pod.finished_at, now, max_restarts)
    return _alive(seen, seen.pod, seen.environment, now)


def _stopped(
    seen: Observed, phase: Phase, reason: SessionReason, message: str, wait: float | None = None
) -> _Step:
    pod = seen.pod if seen.pod is not None and not seen.pod.deleting else None
    delete = () if pod is None else (Deletion(PODS, pod.name, pod.uid),)
    restarts = seen.session.restart_count
    return _Step(phase, reason, message, pod=pod, restarts=restarts, delete=delete, wait=wait)


def _is_lost(pod: PodView | None, recorded: str) -> bool:
    return pod is None or pod.uid != recorded or pod.deleting


def _lost(seen: Observed) -> _Step:
    """The pod of which the status speaks is no more; say so before there is another."""
    restarts, old = seen.session.restart_count + 1, seen.session.ready
    if old is not None and old.reason is SessionReason.POD_FAILED:
        return _Step(Phase.PENDING, old.reason, old.message, restarts=restarts)
    if seen.pod is not None and seen.pod.finished_at is not None:
        return _Step(Phase.PENDING, SessionReason.POD_FAILED, seen.pod.message, restarts=restarts)
    why = "the pod was deleted"
    if seen.pod is not None and seen.pod.trouble is SessionReason.POD_LOST:
        why = seen.pod.message
    return _Step(Phase.PENDING, SessionReason.POD_LOST, why, restarts=restarts)


def _start(seen: Observed, environment: CodeEnvironment, now: datetime, max_restarts: int) -> _Step:
    session, restarts = seen.session, seen.session.restart_count
    if restarts > max_restarts:
        lost = _unchanged(seen, "")
        return replace(lost, phase=Phase.FAILED, message=f"given up: {lost.message}")
    if not seen.guarded:
        return _unchanged(seen, "waiting for the environment's network policy and limits")
    if seen.refusal is not None and now < seen.refusal.until:
        wait = (seen.refusal.until - now).total_seconds()
        refused = _Step(Phase.PENDING, seen.refusal.reason, seen.refusal.message, restarts=restarts)
        return replace(refused, wait=wait, refused=True)
    if seen.volume is not None and seen.volume.deleting:
        deleted = "an earlier workspace is being deleted"
        return _Step(Phase.PENDING, SessionReason.WORKSPACE_PENDING, deleted, restarts=restarts)
    create = (*_missing_volume(seen, environment), build_pod(session, environment))
    return replace(_unchanged(seen, ""), create=create)


def _missing_volume(seen: Observed, environment: CodeEnvironment) -> tuple[dict[str, Any], ...]:
    claim = volume_claim(seen.session, environment) if seen.volume is None else None
    return () if claim is None else (claim,)


def _failed(seen: Observed, pod: PodView, finished: datetime, now: datetime, max_restarts: int) -> _Step:
    """Replace it after a while that doubles; until then it is there to be looked at."""
    restarts = seen.session.restart_count
    failed = _Step(Phase.PENDING, SessionReason.POD_FAILED, pod.message, pod=pod, restarts=restarts)
    if restarts >= max_restarts:
        return replace(failed, phase=Phase.FAILED, message=f"given up: {pod.message}")
    # By the clock of its node, which may be ahead.
    wait = (min(finished, now) - now).total_seconds() + _backoff(restarts)
    if wait > 0:
        return replace(failed, wait=wait)
    return replace(failed, delete=(Deletion(PODS, pod.name, pod.uid),))


def _backoff(restarts: int) -> float:
    return 0.0 if restarts == 0 else min(_LONGEST_BACKOFF, 2.0 ** min(restarts - 1, 16))


def _alive(seen: Observed, pod: PodView, environment: CodeEnvironment, now: datetime) -> _Step:
    restarts = seen.session.restart_count
    if pod.ready:
        return _Step(Phase.READY, SessionReason.READY, "", pod=pod, restarts=restarts)
    step = _Step(Phase.PENDING, pod.trouble, pod.message, restarts=restarts)
    if pod.trouble is SessionReason.POD_PENDING:
        step = _unchanged(seen, pod.message)
    elif pod.trouble is SessionReason.WORKSPACE_PENDING:
        wait = (pod.created_at - now).total_seconds() + _PROVISION_SECONDS
        if 0 < wait <= _PROVISION_SECONDS:
            step = replace(_unchanged(seen, pod.message), wait=wait)
    return replace(step, pod=pod, create=_missing_volume(seen, environment))


def _unchanged(seen: Observed, message: str) -> _Step:
    """Not ready yet; why the last pod went stays said until there is news."""
    old, restarts = seen.session.ready, seen.session.restart_count
    if old is not None and old.reason in _GONE:
        return _Step(Phase.PENDING, old.reason, old.message, restarts=restarts)
    return _Step(Phase.PENDING, SessionReason.POD_PENDING, message, restarts=restarts)


def _status(session: SessionView, step: _Step, volume: Seen | None, now: datetime) -> dict[str, Any] | None:
    """The new status, or None if it says nothing new. Wording and generation alone are no news: a status is
    written when something changes, not when the API prolongs a session."""
    condition = session.ready
    holds = "True" if step.phase is Phase.READY else "False"
    pod_name, pod_uid = (step.pod.name, step.pod.uid) if step.pod is not None else (None, None)
    pvc_name = None if volume is None else volume.name
    old_reason = condition and condition.reason
    before = (session.phase, session.pod_uid, session.pvc_name, session.restart_count, old_reason)
    if before == (step.phase, pod_uid, pvc_name, step.restarts, step.reason):
        return None
    new = SessionStatus(
        observed_generation=session.generation,
        phase=step.phase,
        pod_name=pod_name,
        pod_uid=pod_uid,
        pvc_name=pvc_name,
        restart_count=step.restarts,
        conditions=[
            SessionCondition(
                status=holds,
                reason=step.reason,
                message=step.message,
                last_transition_time=transition_time(condition, holds, now),
                observed_generation=session.generation,
            )
        ],
    )
    return new.model_dump(mode="json", by_alias=True)


def _notice(session: SessionView, step: _Step) -> Notice | None:
    old, given_up = session.ready, step.phase is Phase.FAILED
    if step.reason in _QUIET or (old is not None and old.reason is step.reason and not given_up):
        return None
    return Notice(step.reason, step.message)


def seconds_until_forced(pod: PodView | None, now: datetime) -> float | None:
    """Until a pod that is being deleted has to be removed without its node's word."""
    if pod is None or pod.gone_by is None:
        return None
    return (pod.gone_by - now).total_seconds() + FORCE_SECONDS


def _seconds_left(session: SessionView, now: datetime) -> float | None:
    end = session.shutdown_time
    return None if end is None else (end - now).total_seconds()


def soonest(*moments: float | None) -> float | None:
    known = [moment for moment in moments if moment is not None]
    return min(known) if known else None
