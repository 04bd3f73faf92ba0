"""A session's next step, case by case."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from codesession_crds.conditions import SessionReason
from codesession_operator.actions import NOTHING, Actions
from codesession_operator.plan import FORCE_SECONDS, ORPHAN_SECONDS, Observed, Refusal, plan
from codesession_operator.views import Seen, pod_view

Object = dict[str, Any]
MAX = 3
READY = [{"type": "Ready", "status": "True"}]
FAILED = {
    "phase": "Failed",
    "containerStatuses": [
        {
            "state": {
                "terminated": {
                    "reason": "OOMKilled",
                    "exitCode": 137,
                    "finishedAt": "2026-11-21T12:00:00Z",
                }
            }
        }
    ],
}


def status(reason: str = "Ready", pod_uid: str | None = "pod-uid", restarts: int = 0, **more: Any) -> Object:
    holds = "True" if reason == "Ready" else "False"
    condition = {"status": holds, "reason": reason, "lastTransitionTime": "2026-11-21T11:59:30Z"}
    phase = {"Ready": "Ready", "Suspended": "Suspended"}.get(reason, "Pending")
    own: Object = {"phase": phase, "restartCount": restarts, "pvcName": "s" * 21, "conditions": [condition]}
    if pod_uid is not None:
        own |= {"podUID": pod_uid, "podName": "s" * 21}
    return own | more


@pytest.fixture
def observed(make: Any) -> Any:
    """An environment in place, a volume, and as told: a session and its pod."""

    def observe(session: Any, pod: Object | None = None, **more: Any) -> Observed:
        volume = Seen(make.name, "volume-uid", "5", False, make.uid)
        seen = Observed(
            session=session,
            environment=make.environment(),
            guarded=True,
            pod=None if pod is None else pod_view(pod),
            volume=volume,
        )
        return replace(seen, **more)

    return observe


def kinds(actions: Actions) -> list[str]:
    return [obj["kind"] for obj in actions.create]


def deleted(actions: Actions) -> list[str]:
    return [deletion.resource.kind for deletion in actions.delete]


def told(actions: Actions) -> tuple[Any, ...]:
    """phase, reason, pod UID and restarts of the new status."""
    assert actions.status is not None
    (condition,) = actions.status["conditions"]
    new = actions.status
    return new["phase"], condition["reason"], new["podUID"], new["restartCount"]


def test_a_new_session_gets_volume_and_pod(make: Any, observed: Any) -> None:
    actions = plan(observed(make.session(), volume=None), make.now, MAX)
    assert kinds(actions) == ["PersistentVolumeClaim", "Pod"]
    assert actions.notice is None


def test_a_warm_session_gets_the_same(make: Any, observed: Any) -> None:
    actions = plan(observed(make.session(claimed=False), volume=None), make.now, MAX)
    assert kinds(actions) == ["PersistentVolumeClaim", "Pod"]


def test_an_existing_volume_is_kept(make: Any, observed: Any) -> None:
    assert kinds(plan(observed(make.session()), make.now, MAX)) == ["Pod"]


def test_no_volume_where_the_environment_wants_none(make: Any, observed: Any) -> None:
    environment = make.environment(workspace={"type": "Memory"})
    seen = observed(make.session(), volume=None, environment=environment)
    assert kinds(plan(seen, make.now, MAX)) == ["Pod"]


def test_no_pod_before_its_guards(make: Any, observed: Any) -> None:
    actions = plan(observed(make.session(), guarded=False), make.now, MAX)
    assert not actions.changes_objects
    assert told(actions) == ("Pending", "PodPending", None, 0)


def test_a_starting_pod_is_recorded(make: Any, observed: Any) -> None:
    actions = plan(observed(make.session(), make.pod()), make.now, MAX)
    assert told(actions) == ("Pending", "PodPending", "pod-uid", 0)


def test_a_ready_pod_makes_a_ready_session(make: Any, observed: Any) -> None:
    session = make.session(status=status("PodPending"))
    actions = plan(observed(session, make.pod(phase="Running", conditions=READY)), make.now, MAX)
    assert told(actions) == ("Ready", "Ready", "pod-uid", 0)
    assert actions.status is not None
    assert actions.status["conditions"][0]["lastTransitionTime"] == "2026-11-21T12:00:00Z"
    assert actions.status["pvcName"] == make.name


def test_nothing_is_written_when_nothing_is_new(make: Any, observed: Any) -> None:
    session = make.session(status=status("Ready"), metadata={"generation": 7})
    actions = plan(observed(session, make.pod(phase="Running", conditions=READY)), make.now, MAX)
    assert actions == Actions(requeue_after=3600.0)


@pytest.mark.parametrize(
    ("pod_status", "reason"),
    [
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "cpu"}
                ]
            },
            "Unschedulable",
        ),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]}, "ImagePullFailed"),
    ],
)
def test_why_a_pod_does_not_start_is_said_once(
    make: Any, observed: Any, pod_status: Object, reason: str
) -> None:
    pod = make.pod(**pod_status)
    actions = plan(observed(make.session(status=status("PodPending")), pod), make.now, MAX)
    assert told(actions) == ("Pending", reason, "pod-uid", 0)
    assert actions.notice is not None
    assert actions.notice.reason == reason
    again = plan(observed(make.session(status=status(reason)), pod), make.now, MAX)
    assert (again.status, again.notice) == (None, None)


def test_a_claimed_session_whose_pod_failed_gets_another(make: Any, observed: Any) -> None:
    ready = make.session(status=status("Ready"))
    first = plan(observed(ready, make.pod(**FAILED)), make.now, MAX)
    assert deleted(first) == ["Pod"]
    going = make.pod(**FAILED)
    going["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
    second = plan(observed(ready, going), make.now, MAX)
    assert told(second) == ("Pending", "PodFailed", None, 1)
    assert second.notice is not None
    assert "OOMKilled" in second.notice.message
    assert not second.changes_objects
    waiting = make.session(status=status("PodFailed", None, 1))
    assert plan(observed(waiting, going), make.now, MAX) == Actions(requeue_after=float(FORCE_SECONDS))
    third = plan(observed(waiting), make.now, MAX)
    assert kinds(third) == ["Pod"]
    starting = plan(observed(waiting, make.pod(uid="new")), make.now, MAX)
    assert told(starting) == ("Pending", "PodFailed", "new", 1)


@pytest.mark.parametrize("gone", ["deleted", "being deleted", "another"])
def test_a_claimed_session_whose_pod_is_lost_says_so_first(make: Any, observed: Any, gone: str) -> None:
    pod = None
    if gone == "being deleted":
        pod = make.pod()
        pod["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
    elif gone == "another":
        pod = make.pod(uid="other")
    actions = plan(observed(make.session(status=status("Ready")), pod), make.now, MAX)
    assert told(actions) == ("Pending", "PodLost", None, 1)
    assert not actions.changes_objects


def test_what_ended_a_pod_is_told(make: Any, observed: Any) -> None:
    evicted = [
        {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
        }
    ]
    pod = make.pod(phase="Running", conditions=evicted)
    pod["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
    actions = plan(observed(make.session(status=status("Ready")), pod), make.now, MAX)
    assert told(actions) == ("Pending", "PodLost", None, 1)
    assert actions.notice is not None
    assert actions.notice.message.startswith("DeletionByTaintManager: ")


@pytest.mark.parametrize("mode", ["Running", "Suspended"])
@pytest.mark.parametrize("deleting", [False, True])
def test_a_pod_whose_node_does_not_let_go_is_removed(
    make: Any, observed: Any, mode: str, deleting: bool
) -> None:
    metadata = {"deletionTimestamp": "2026-11-21T12:00:00Z"} if deleting else {}
    session = make.session(status=status("PodLost", None, 1), metadata=metadata, operatingMode=mode)
    pod = make.pod()
    pod["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:02Z"
    before = plan(observed(session, pod), make.now, MAX)
    assert (before.delete, before.requeue_after) == ((), FORCE_SECONDS + 2.0)
    (deletion,) = plan(observed(session, pod), make.now + timedelta(seconds=62), MAX).delete
    assert (deletion.name, deletion.uid, deletion.force) == (make.name, "pod-uid", True)


def test_giving_up_is_told(make: Any, observed: Any) -> None:
    failing = make.session(status=status("PodFailed", "pod-uid", MAX))
    actions = plan(observed(failing, make.pod(**FAILED)), make.now, MAX)
    assert actions.notice is not None
    assert actions.notice.message == "given up: OOMKilled, exit code 137"
    given_up = make.session(status=status("PodFailed", "pod-uid", MAX, phase="Failed"))
    assert plan(observed(given_up, make.pod(**FAILED)), make.now, MAX) == Actions(requeue_after=3600.0)


def test_replacements_come_ever_later(make: Any, observed: Any) -> None:
    waits = []
    for restarts in range(MAX):
        session = make.session(status=status("PodFailed", "pod-uid", restarts))
        actions = plan(observed(session, make.pod(**FAILED)), make.now, MAX)
        waits.append(None if actions.delete else actions.requeue_after)
    assert waits == [None, 1.0, 2.0]


def test_a_session_that_keeps_failing_is_given_up(make: Any, observed: Any) -> None:
    failing = make.session(status=status("PodFailed", "pod-uid", MAX))
    actions = plan(observed(failing, make.pod(**FAILED)), make.now, MAX)
    assert told(actions) == ("Failed", "PodFailed", "pod-uid", MAX)
    assert not actions.changes_objects
    losing = make.session(status=status("PodLost", None, MAX + 1))
    actions = plan(observed(losing), make.now, MAX)
    assert told(actions)[0] == "Failed"
    assert not actions.changes_objects


@pytest.mark.parametrize(
    ("recorded", "pod", "reason"),
    [
        ("pod-uid", FAILED, "PodFailed"),
        ("pod-uid", None, "PodLost"),
        ("earlier", {}, "PodLost"),
        (None, FAILED, "PodFailed"),
    ],
)
def test_a_spoilt_warm_session_is_thrown_away(
    make: Any, observed: Any, recorded: str | None, pod: Object | None, reason: str
) -> None:
    session = make.session(claimed=False, status=status("PodPending", recorded))
    actions = plan(observed(session, None if pod is None else make.pod(**pod)), make.now, MAX)
    (deletion,) = actions.delete
    assert (deletion.resource.kind, deletion.uid, deletion.version) == ("CodeSession", make.uid, "10")
    assert actions.notice is not None
    assert actions.notice.reason == reason


def test_a_session_ends_at_its_shutdown_time(make: Any, observed: Any) -> None:
    ready = make.session(status=status("Ready"))
    pod = make.pod(phase="Running", conditions=READY)
    before = plan(observed(ready, pod), make.now + timedelta(seconds=3599), MAX)
    assert before == Actions(requeue_after=1.0)
    actions = plan(observed(ready, pod), make.now + timedelta(hours=1), MAX)
    (deletion,) = actions.delete
    assert (deletion.resource.kind, deletion.version) == ("CodeSession", "10")
    assert actions.notice is not None
    assert (actions.notice.reason, actions.notice.warning) == ("Expired", False)


def test_nothing_is_done_for_a_session_that_is_being_deleted(make: Any, observed: Any) -> None:
    going = make.session(metadata={"deletionTimestamp": "2026-11-21T12:00:00Z"})
    assert plan(observed(going, volume=None), make.now + timedelta(days=1), MAX) is NOTHING


def test_suspending_stops_the_pod_and_keeps_the_volume(make: Any, observed: Any) -> None:
    session = make.session(status=status("Ready"), operatingMode="Suspended")
    first = plan(observed(session, make.pod(phase="Running", conditions=READY)), make.now, MAX)
    assert deleted(first) == ["Pod"]
    second = plan(observed(session), make.now, MAX)
    assert told(second) == ("Suspended", "Suspended", None, 0)
    assert second.status is not None
    assert second.status["pvcName"] == make.name
    suspended = make.session(status=status("Suspended", None), operatingMode="Suspended")
    assert plan(observed(suspended), make.now, MAX) == Actions(requeue_after=3600.0)
    resumed = make.session(status=status("Suspended", None))
    assert kinds(plan(observed(resumed), make.now, MAX)) == ["Pod"]


def test_without_its_environment_a_claimed_session_stops(make: Any, observed: Any) -> None:
    """Its network policy went with the environment."""
    session = make.session(status=status("Ready"))
    pod = make.pod(phase="Running", conditions=READY)
    actions = plan(observed(session, pod, environment=None, guarded=False), make.now, MAX)
    assert deleted(actions) == ["Pod"]
    actions = plan(observed(session, environment=None, guarded=False), make.now, MAX)
    assert told(actions) == ("Pending", "EnvironmentMissing", None, 0)


def test_a_warm_session_waits_a_while_for_its_environment(make: Any, observed: Any) -> None:
    session = make.session(claimed=False, metadata={"creationTimestamp": "2026-11-21T12:00:00Z"})
    seen = observed(session, environment=None, guarded=False)
    actions = plan(seen, make.now, MAX)
    assert (deleted(actions), actions.requeue_after) == ([], ORPHAN_SECONDS)
    actions = plan(seen, make.now + timedelta(seconds=ORPHAN_SECONDS), MAX)
    assert deleted(actions) == ["CodeSession"]


def test_a_refusal_is_told_and_tried_again(make: Any, observed: Any) -> None:
    until = make.now + timedelta(seconds=5)
    refusal = Refusal(SessionReason.QUOTA_EXCEEDED, "exceeded quota: codesession", until)
    actions = plan(observed(make.session(), refusal=refusal), make.now, MAX)
    assert told(actions) == ("Pending", "QuotaExceeded", None, 0)
    assert (actions.create, actions.requeue_after) == ((), 5.0)
    assert kinds(plan(observed(make.session(), refusal=refusal), until, MAX)) == ["Pod"]


def test_children_of_an_earlier_session_of_that_name_are_waited_out(make: Any, observed: Any) -> None:
    actions = plan(observed(make.session(), make.pod(owner="earlier")), make.now, MAX)
    assert not actions.changes_objects
    volume = Seen(make.name, "volume-uid", "5", False, "earlier")
    actions = plan(observed(make.session(), volume=volume), make.now, MAX)
    assert told(actions) == ("Pending", "WorkspacePending", None, 0)
    assert not actions.changes_objects


def test_a_pod_that_stops_answering_is_not_ready(make: Any, observed: Any) -> None:
    unknown = make.pod(phase="Running", conditions=[{"type": "Ready", "status": "False"}])
    actions = plan(observed(make.session(status=status("Ready")), unknown), make.now, MAX)
    assert told(actions) == ("Pending", "PodPending", "pod-uid", 0)


@pytest.mark.parametrize(
    ("seconds", "reason", "again"), [(0, None, 5.0), (4, None, 1.0), (5, "WorkspacePending", 3595.0)]
)
def test_a_volume_that_is_made_when_its_pod_is_scheduled_is_no_news_for_a_while(
    make: Any, observed: Any, seconds: int, reason: str | None, again: float | None
) -> None:
    unbound = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    pod = make.pod(
        phase="Pending",
        conditions=[unbound | {"message": "pod has unbound immediate PersistentVolumeClaims"}],
    )
    session = make.session()
    volume = Seen(make.name, "volume-uid", "5", False, session.uid)
    actions = plan(observed(session, pod, volume=volume), make.now + timedelta(seconds=seconds), MAX)
    assert (actions.requeue_after, actions.notice and actions.notice.reason) == (again, reason)
