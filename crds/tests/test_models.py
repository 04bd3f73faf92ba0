from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from codesession_crds.conditions import SessionCondition, SessionReason, transition_time
from codesession_crds.environment import CodeEnvironment
from codesession_crds.session import CodeSession, OperatingMode

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CLAIM = {"tenant": "a" * 32, "principal": "b" * 32, "claimedAt": "2026-11-21T12:00:00Z"}


def session(**spec: Any) -> CodeSession:
    return CodeSession.model_validate(
        {"metadata": {"name": "a" * 21}, "spec": {"environmentRef": {"name": "default"}, **spec}}
    )


def test_an_environment_needs_only_its_image() -> None:
    spec = CodeEnvironment.model_validate({"metadata": {"name": "default"}, "spec": {"image": "i"}}).spec
    assert (spec.runtime_class_name, spec.network.mode, spec.workspace.type) == (
        "gvisor",
        "Deny",
        "PersistentVolumeClaim",
    )
    assert (spec.limits.run_seconds, spec.session.idle_seconds, spec.warm_pool.replicas) == (120, 1800, 2)
    assert spec.resources.limits == {"cpu": "1", "memory": "1Gi"}


def test_numbers_are_quantities_too() -> None:
    spec = {"image": "i", "resources": {"limits": {"cpu": 2, "memory": "1Gi"}}}
    environment = CodeEnvironment.model_validate({"metadata": {"name": "e"}, "spec": spec})
    assert environment.spec.resources.limits["cpu"] == "2"


def test_json_is_camel_case_and_leaves_out_what_is_unset() -> None:
    claimed = session(claim=CLAIM, shutdownTime="2026-11-21T13:00:00+01:00")
    assert claimed.spec.to_json() == {
        "environmentRef": {"name": "default"},
        "claim": CLAIM,
        "operatingMode": "Running",
        "shutdownTime": "2026-11-21T12:00:00Z",
        "maxLifetimeSeconds": 86400,
    }
    assert "claim" not in session().spec.to_json()


def test_the_pod_uid_keeps_its_capitals() -> None:
    body = {
        "metadata": {"name": "a" * 21},
        "spec": {"environmentRef": {"name": "e"}},
        "status": {"podUID": "u"},
    }
    read = CodeSession.model_validate(body)
    assert read.status.pod_uid == "u"
    assert read.status.to_json()["podUID"] == "u"


def test_fields_of_later_versions_do_not_break_reading() -> None:
    assert session(somethingNew={"a": 1}).spec.operating_mode is OperatingMode.RUNNING


@pytest.mark.parametrize(
    "spec",
    [
        {"claim": CLAIM | {"tenant": "ACME"}},
        {"claim": CLAIM | {"claimedAt": "2026-11-21T12:00:00"}},
        {"operatingMode": "Paused"},
        {"maxLifetimeSeconds": 1},
        {"environmentRef": {"name": "No"}},
    ],
)
def test_what_is_no_session(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        session(**spec)


def test_a_session_expires_at_its_shutdown_time() -> None:
    claimed = session(claim=CLAIM, shutdownTime="2026-11-21T12:00:00Z")
    assert not claimed.expired(NOON - timedelta(seconds=1))
    assert claimed.expired(NOON)
    assert claimed.expired(NOON.astimezone(timezone(timedelta(hours=5))))
    assert not session().expired(NOON)


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    old = SessionCondition(status="False", reason=SessionReason.POD_PENDING, last_transition_time=NOON)
    later = NOON + timedelta(minutes=1)
    assert transition_time(old, "False", later) == NOON
    assert transition_time(old, "True", later) == later
    assert transition_time(None, "False", later) == later
