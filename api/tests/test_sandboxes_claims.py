"""Claims as decisions: tables and properties."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesession_api.ports import Principal
from codesession_api.sandboxes import claims
from codesession_api.sandboxes.claims import SessionView
from codesession_api.sandboxes.environments import EnvironmentView, parse_environment
from codesession_api.sandboxes.session import Limits
from codesession_api.sandboxes.sessions import SessionCache
from codesession_crds.session import CodeSession
from codesession_crds.watch import WatchEvent

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)
IDLE = timedelta(seconds=1800)
ALICE = Principal("a" * 32, "1" * 32)

WARM = SessionView(
    name="s" + "0" * 20,
    uid="u",
    version="7",
    environment="default",
    owner=None,
    claimed_at=None,
    shutdown_time=None,
    max_lifetime=DAY,
    running=True,
    phase="Ready",
    reason="Ready",
    pod="s" + "0" * 20,
    pod_uid="p",
)
CLAIMED = dataclasses.replace(WARM, owner=ALICE, claimed_at=NOW, shutdown_time=NOW + IDLE)


def manifest(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "apiVersion": "codesession.dev/v1alpha1",
        "kind": "CodeSession",
        "metadata": {"name": WARM.name, "uid": "u", "resourceVersion": "7"},
        "spec": {"environmentRef": {"name": "default"}, "maxLifetimeSeconds": 86400},
        "status": {
            "phase": "Ready",
            "podName": WARM.pod,
            "podUID": "p",
            "conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}],
        },
    }
    for part, values in changes.items():
        body[part] = {**body[part], **values}
    return body


CLAIM = {"tenant": ALICE.tenant, "principal": ALICE.principal, "claimedAt": "2026-11-21T12:00:00Z"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, WARM),
        ({"spec": {"claim": CLAIM, "shutdownTime": "2026-11-21T12:30:00Z"}}, CLAIMED),
        ({"metadata": {"deletionTimestamp": "x"}}, dataclasses.replace(WARM, running=False)),
        (
            {"spec": {"operatingMode": "Suspended"}},
            dataclasses.replace(WARM, running=False, suspended=True),
        ),
        ({"status": {"phase": "Pending"}}, dataclasses.replace(WARM, phase="Pending")),
        ({"status": {"restartCount": 2, "pvcName": "v"}}, dataclasses.replace(WARM, restarts=2, volume="v")),
        ({"status": {"podUID": None, "podName": None}}, dataclasses.replace(WARM, pod="", pod_uid="")),
    ],
)
def test_a_session_as_the_api_sees_it(changes: dict[str, Any], expected: SessionView) -> None:
    assert claims.parse_session(manifest(**changes)) == expected


def test_a_session_without_a_status_is_not_ready() -> None:
    body = manifest()
    del body["status"]
    view = claims.parse_session(body)
    assert (view.phase, view.ready, view.warm) == ("Pending", False, False)


@pytest.mark.parametrize(
    ("change", "warm"),
    [
        ({}, True),
        ({"owner": ALICE}, False),
        ({"running": False}, False),
        ({"phase": "Pending"}, False),
        ({"phase": "Failed"}, False),
        ({"pod_uid": ""}, False),
    ],
)
def test_what_is_warm(change: dict[str, Any], warm: bool) -> None:
    assert dataclasses.replace(WARM, **change).warm is warm


@pytest.mark.parametrize(
    ("change", "bereft"),
    [
        ({}, False),
        ({"restarts": 1}, True),
        ({"running": False, "suspended": True}, True),
        ({"restarts": 1, "volume": "v"}, False),
        ({"running": False, "suspended": True, "volume": "v"}, False),
    ],
)
def test_files_that_were_in_a_pod_go_with_it(change: dict[str, Any], bereft: bool) -> None:
    assert dataclasses.replace(CLAIMED, **change).bereft is bereft


def named(name: str, **change: Any) -> SessionView:
    return dataclasses.replace(WARM, name=name, **change)


def test_candidates_are_not_taken_and_those_with_a_stream_come_first() -> None:
    warm = {name: named(name) for name in ("far-1", "near", "taken", "far-2", "near and taken")}
    found = claims.candidates(
        warm,
        ["near", "near and taken", "claimed meanwhile"],
        but={"taken", "near and taken"},
        shuffle=lambda views: views.reverse(),
    )
    assert [view.name for view in found] == ["near", "far-2", "far-1"]


def test_candidates_come_in_random_order() -> None:
    warm = {f"s{number}": named(f"s{number}") for number in range(8)}
    orders = {tuple(view.name for view in claims.candidates(warm, [], but=())) for _ in range(20)}
    assert len(orders) > 1


def test_of_many_candidates_some_are_tried_and_the_last_is_found() -> None:
    warm = {f"s{number}": named(f"s{number}") for number in range(5000)}
    assert len(claims.candidates(warm, ["s1"], but=())) < 100
    assert claims.candidates(warm, ["s1"], but=warm.keys() - {"s7"}) == [warm["s7"]]
    assert claims.candidates(warm, ["s1"], but=warm) == []


async def test_the_cache_knows_what_is_warm() -> None:
    client: Any = None
    cache = SessionCache(client, "/", claims.parse_session)
    cache._take_in(WatchEvent("LISTED", {}, (manifest(), manifest(metadata={"name": "b"}))))
    assert set(cache.warm("default")) == {WARM.name, "b"}
    cache.learn(CLAIMED)
    assert set(cache.warm("default")) == {"b"}
    cache._take_in(WatchEvent("DELETED", manifest(metadata={"name": "b"})))
    assert not cache.warm("default")
    cache._take_in(WatchEvent("LISTED", {}, (manifest(metadata={"name": "c"}),)))
    assert set(cache.warm("default")) == {"c"}
    assert not cache.warm("gpu")


def test_a_claim_and_a_new_session_are_valid_resources() -> None:
    now = NOW + timedelta(microseconds=999_999)
    claim = claims.claim_of(ALICE, now, IDLE, DAY)
    assert claim == {"spec": {"claim": CLAIM, "shutdownTime": "2026-11-21T12:30:00Z"}}
    session = CodeSession.model_validate(claims.new_session(WARM.name, "default", claim, DAY))
    assert session.spec.shutdown_time == NOW + IDLE
    assert session.spec.max_lifetime_seconds == 86400


def test_a_claim_never_outlives_the_absolute_lifetime() -> None:
    claim = claims.claim_of(ALICE, NOW, idle=DAY, max_lifetime=IDLE)
    assert claim["spec"]["shutdownTime"] == "2026-11-21T12:30:00Z"


HINT = "c" * 32


def test_a_hint_is_written_with_the_claim_and_read_again() -> None:
    claim = claims.claim_of(ALICE, NOW, IDLE, DAY, HINT)
    assert claim["metadata"] == {"labels": {"codesession.dev/hint": HINT}}
    made = claims.new_session(WARM.name, "default", claim, DAY)
    assert CodeSession.model_validate(made).metadata.name == WARM.name
    made["metadata"].update(uid="u", resourceVersion="7")
    view = claims.parse_session(made)
    assert (view.hint, view.owner) == (HINT, ALICE)
    assert claims.parse_session(manifest()).hint == ""


def test_a_hint_leads_to_the_oldest_live_session_of_its_owner() -> None:
    bob = dataclasses.replace(ALICE, principal="2" * 32)

    def hinted(name: str, **change: Any) -> SessionView:
        return dataclasses.replace(CLAIMED, name=name, **{"hint": HINT, **change})

    sessions = [
        hinted("younger", claimed_at=NOW + timedelta(seconds=1)),
        hinted("b-same-second"),
        hinted("a-same-second"),
        hinted("another's", owner=bob, claimed_at=NOW - DAY),
        hinted("nobody's", owner=None, claimed_at=NOW - DAY),
        hinted("over", shutdown_time=NOW, claimed_at=NOW - DAY),
        hinted("not ready", phase="Pending", claimed_at=NOW - DAY),
        hinted("without", hint="", claimed_at=NOW - DAY),
        hinted("other hint", hint="d" * 32, claimed_at=NOW - DAY),
        hinted("left out", claimed_at=NOW - DAY),
    ]
    found = claims.hinted(sessions, ALICE, HINT, but={"left out"}, now=NOW)
    assert [view.name for view in found] == ["a-same-second", "b-same-second", "younger"]


def test_an_owner_is_told_of_its_live_sessions() -> None:
    bob = dataclasses.replace(ALICE, principal="2" * 32)
    sessions = [
        dataclasses.replace(CLAIMED, name="older"),
        dataclasses.replace(CLAIMED, name="newer", claimed_at=NOW + timedelta(seconds=1)),
        dataclasses.replace(CLAIMED, name="another's", owner=bob),
        dataclasses.replace(CLAIMED, name="over", shutdown_time=NOW),
        dataclasses.replace(CLAIMED, name="not ready", phase="Pending"),
        WARM,
    ]
    told = claims.live(sessions, ALICE, NOW)
    assert [one.session_id for one in told] == ["newer", "older"]
    assert told[1].ends == CLAIMED.shutdown_time


MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("view", "after", "shutdown"),
    [
        (CLAIMED, MINUTE, None),
        (CLAIMED, 15 * MINUTE, None),
        (CLAIMED, 16 * MINUTE, NOW + 46 * MINUTE),
        (CLAIMED, 29 * MINUTE, NOW + 59 * MINUTE),
        (dataclasses.replace(CLAIMED, shutdown_time=NOW + 3 * MINUTE), MINUTE, NOW + 31 * MINUTE),
        (dataclasses.replace(CLAIMED, max_lifetime=40 * MINUTE), 20 * MINUTE, NOW + 40 * MINUTE),
        (dataclasses.replace(CLAIMED, max_lifetime=30 * MINUTE), 29 * MINUTE, None),
        (WARM, MINUTE, None),
    ],
)
def test_the_end_moves_when_less_than_half_is_left(
    view: SessionView, after: timedelta, shutdown: datetime | None
) -> None:
    extension = claims.extension(view, NOW + after, IDLE, run=2 * MINUTE)
    assert extension == (shutdown and {"shutdownTime": shutdown.strftime("%Y-%m-%dT%H:%M:%SZ")})


def test_a_run_longer_than_half_the_idle_time_moves_the_end_earlier() -> None:
    assert claims.extension(CLAIMED, NOW + 5 * MINUTE, IDLE, run=28 * MINUTE) is not None


seconds = st.integers(min_value=60, max_value=100_000).map(lambda value: timedelta(seconds=value))


@given(after=seconds, idle=seconds, lifetime=seconds, run=seconds)
def test_extensions_go_forward_within_the_lifetime_and_end(
    after: timedelta, idle: timedelta, lifetime: timedelta, run: timedelta
) -> None:
    spec = claims.claim_of(ALICE, NOW, idle, lifetime)["spec"]
    view = dataclasses.replace(
        CLAIMED, max_lifetime=lifetime, shutdown_time=datetime.fromisoformat(spec["shutdownTime"])
    )
    assert view.shutdown_time is not None
    extension = claims.extension(view, NOW + after, idle, run)
    if extension is not None:
        moved = datetime.fromisoformat(extension["shutdownTime"])
        assert view.shutdown_time < moved <= NOW + lifetime
        again = dataclasses.replace(view, shutdown_time=moved)
        assert claims.extension(again, NOW + after, idle, run) is None


def test_the_environments_limits_hold_within_the_apis() -> None:
    body = {
        "apiVersion": "codesession.dev/v1alpha1",
        "kind": "CodeEnvironment",
        "metadata": {"name": "default"},
        "spec": {"image": "i", "limits": {"runSeconds": 300, "outputBytes": 65536, "files": 10}},
    }
    environment = parse_environment(body)
    assert environment.isolation == "gvisor"
    assert environment.fault is None
    limits = environment.limits_within(
        Limits(run_seconds=120, output_bytes=10**6, file_bytes=10**9, files=99)
    )
    assert limits == Limits(run_seconds=120, output_bytes=65536, file_bytes=52_428_800, files=10)


@pytest.mark.parametrize(
    ("session", "seconds"),
    [({}, 180), ({"oneShotIdleSeconds": 10}, 130), ({"idleSeconds": 90}, 90)],
)
def test_how_long_a_session_of_one_run_lives(session: dict[str, int], seconds: int) -> None:
    body = {"metadata": {"name": "default"}, "spec": {"image": "i", "session": session}}
    assert parse_environment(body).idle_of_one_shot(120) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("runtime_class", "isolation"),
    [
        ("gvisor", "gvisor"),
        ("runsc-kvm", "gvisor"),
        (None, "gvisor"),
        ("", "insecure (the runtime of the nodes)"),
        ("kata", "insecure (kata)"),
    ],
)
def test_the_isolation_is_that_of_the_runtime_class(runtime_class: str | None, isolation: str) -> None:
    spec = {"image": "i"} | ({} if runtime_class is None else {"runtimeClassName": runtime_class})
    body = {
        "apiVersion": "codesession.dev/v1alpha1",
        "kind": "CodeEnvironment",
        "metadata": {"name": "default"},
        "spec": spec,
    }
    assert parse_environment(body).isolation == isolation


def test_a_fault_of_the_environment_is_told() -> None:
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "PolicyPending",
        "message": "no policy yet",
        "lastTransitionTime": "2026-11-21T12:00:00Z",
    }
    body = {
        "apiVersion": "codesession.dev/v1alpha1",
        "kind": "CodeEnvironment",
        "metadata": {"name": "default"},
        "spec": {"image": "i"},
        "status": {"conditions": [condition]},
    }
    assert parse_environment(body).fault == "PolicyPending: no policy yet"
    assert EnvironmentView("default").fault is None
