from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from codesession_crds.conditions import SessionReason
from codesession_operator.views import pod_view
from tests.conftest import NAME

R = SessionReason


def container(**state: Any) -> dict[str, Any]:
    return {"name": "sandbox", "ready": False, "state": state}


def unschedulable(message: str) -> list[dict[str, str]]:
    return [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        ({}, R.POD_PENDING, "starting"),
        (
            {"conditions": unschedulable("0/3 nodes are available: 3 Insufficient cpu")},
            R.UNSCHEDULABLE,
            "cpu",
        ),
        (
            {"conditions": unschedulable("pod has unbound immediate PersistentVolumeClaims")},
            R.WORKSPACE_PENDING,
            "unbound",
        ),
        (
            {"containerStatuses": [container(waiting={"reason": "ErrImagePull", "message": "no such tag"})]},
            R.IMAGE_PULL_FAILED,
            "ErrImagePull: no such tag",
        ),
        (
            {"containerStatuses": [container(waiting={"reason": "ImagePullBackOff"})]},
            R.IMAGE_PULL_FAILED,
            "ImagePullBackOff",
        ),
        (
            {"containerStatuses": [container(waiting={"reason": "ContainerCreating"})]},
            R.POD_PENDING,
            "starting",
        ),
        (
            {
                "containerStatuses": [
                    container(waiting={"reason": "RunContainerError", "message": "no runsc"})
                ]
            },
            R.POD_PENDING,
            "no runsc",
        ),
        (
            {
                "phase": "Failed",
                "containerStatuses": [
                    container(terminated={"reason": "OOMKilled", "exitCode": 137, "finishedAt": None})
                ],
            },
            R.POD_FAILED,
            "OOMKilled, exit code 137",
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."},
            R.POD_FAILED,
            "Evicted: The node was low",
        ),
        ({"phase": "Succeeded"}, R.POD_FAILED, "exit code unknown"),
    ],
)
def test_why_a_pod_is_not_ready(make: Any, status: Any, reason: SessionReason, message: str) -> None:
    view = pod_view(make.pod(**status))
    assert view.trouble is reason
    assert message in view.message
    assert not view.ready


@pytest.mark.parametrize(
    ("condition", "ready"), [("True", True), ("False", False), ("Unknown", False), (None, False)]
)
def test_ready_is_what_the_pod_says(make: Any, condition: str | None, ready: bool) -> None:
    conditions = [] if condition is None else [{"type": "Ready", "status": condition}]
    assert pod_view(make.pod(phase="Running", conditions=conditions)).ready is ready


def test_when_a_pod_ended(make: Any) -> None:
    ended = container(terminated={"exitCode": 1, "finishedAt": "2026-11-21T12:00:07Z"})
    failed = pod_view(make.pod(phase="Failed", containerStatuses=[ended]))
    assert failed.finished_at == datetime(2026, 11, 21, 12, 0, 7, tzinfo=UTC)
    evicted = pod_view(make.pod(phase="Failed", reason="Evicted"))
    assert evicted.finished_at == datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    assert pod_view(make.pod(phase="Running")).finished_at is None


def test_a_new_version_alone_is_no_news(make: Any) -> None:
    first, second = make.pod(), make.pod()
    second["metadata"]["resourceVersion"] = "21"
    second["status"]["hostIP"] = "10.0.0.1"
    assert pod_view(first) == pod_view(second)
    second["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:09Z"
    assert pod_view(first) != pod_view(second)


def test_a_sessions_new_version_alone_is_no_news(make: Any) -> None:
    assert make.session(metadata={"resourceVersion": "11"}) == make.session()
    assert make.session(metadata={"generation": 2}) != make.session()


def test_what_sessions_and_their_pods_share_is_there_once(make: Any) -> None:
    """Ten thousand of each are remembered."""
    uid = "-".join(["pod", "uid"])
    session, pod = make.session(status={"podUID": uid, "pvcName": NAME}), pod_view(make.pod())
    assert session.pod_uid is pod.uid
    assert session.uid is pod.owner
    assert session.name is pod.name is session.pvc_name


def test_messages_are_cut(make: Any) -> None:
    assert len(pod_view(make.pod(conditions=unschedulable("x" * 5000))).message) < 1024
