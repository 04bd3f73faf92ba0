from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codesession_operator.pool import Refill, Waiting, plan_pool

PLENTY = 1000


NO_ROOM = {
    "conditions": [
        {"status": "False", "reason": "QuotaExceeded", "lastTransitionTime": "2026-11-21T12:00:00Z"}
    ]
}


def waiting(make: Any, flags: str) -> list[Waiting]:
    """One unclaimed session per letter: R ready, p pending, q pending for want of room; s stale and ready, t
    stale and pending."""
    return [
        Waiting(
            make.session(
                claimed=False,
                metadata={"name": f"{chr(97 + index)}{'0' * 20}"},
                status=NO_ROOM if flag == "q" else None,
            ),
            ready=flag in "Rs",
            stale=flag in "st",
        )
        for index, flag in enumerate(flags)
    ]


@pytest.mark.parametrize(
    ("wanted", "present", "create", "delete"),
    [
        (2, "", 2, ""),
        (2, "p", 1, ""),
        (2, "pp", 0, ""),
        (2, "RR", 0, ""),
        (0, "RRp", 0, "cab"),
        (1, "RRp", 0, "ca"),  # the pending one goes first
        (2, "ss", 2, ""),  # a new image: fresh ones first
        (2, "Rss", 1, "b"),
        (2, "RRss", 0, "cd"),
        (2, "ppss", 0, ""),
        (2, "tt", 2, ""),
        (3, "Rt", 2, ""),
        (2, "qq", 0, ""),
        (2, "qqss", 0, "c"),  # a new image where there is no room for both: one at a time
        (2, "qqs", 0, ""),
        (2, "Rqs", 0, "c"),
        (2, "pqs", 0, ""),
        (1, "qs", 0, "b"),
        (3, "Rqqss", 0, "d"),
    ],
)
def test_towards_what_is_wanted(make: Any, wanted: int, present: str, create: int, delete: str) -> None:
    environment = make.environment(warmPool={"replicas": wanted})
    plan = plan_pool(environment, waiting(make, present), PLENTY)
    assert (plan.create, "".join(session.name[0] for session in plan.delete)) == (create, delete)


@pytest.mark.parametrize(
    ("present", "delete"), [("", ""), ("RR", ""), ("Rp", "b"), ("qp", "ab"), ("Rst", "c"), ("RRRp", "d")]
)
def test_while_somebody_waits_the_pool_makes_room(make: Any, present: str, delete: str) -> None:
    environment = make.environment(warmPool={"replicas": 3})
    plan = plan_pool(environment, waiting(make, present), PLENTY, yields=True)
    assert plan.create == 0
    assert {session.name[0] for session in plan.delete} == set(delete)


@given(wanted=st.integers(0, 8), present=st.text("Rpst", max_size=12), allowance=st.integers(0, 5))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_never_too_many_and_never_too_fast(make: Any, wanted: int, present: str, allowance: int) -> None:
    environment = make.environment(warmPool={"replicas": wanted})
    plan = plan_pool(environment, waiting(make, present), allowance)
    fresh = sum(flag in "Rp" for flag in present)
    assert plan.create <= allowance
    assert fresh + plan.create <= max(wanted, fresh)
    assert not (
        plan.create
        and any(
            s.name in {w.session.name for w in waiting(make, present) if not w.stale} for s in plan.delete
        )
    )
    kept_ready = (
        present.count("R")
        + present.count("s")
        - sum(one.ready for one in waiting(make, present) if one.session in plan.delete)
    )
    assert kept_ready >= min(wanted, present.count("R") + present.count("s"))


def test_so_many_in_any_minute(make: Any) -> None:
    refill, now = Refill(), make.now
    for _ in range(3):
        assert refill.allowance(3, now) > 0
        refill.note_created(now)
    assert refill.allowance(3, now) == 0
    assert refill.wait(3, now + timedelta(seconds=10)) == 50
    assert refill.allowance(3, now + timedelta(seconds=60)) == 3
    assert refill.wait(3, now + timedelta(seconds=60)) is None


def test_slower_while_everything_fails(make: Any) -> None:
    refill, now = Refill(), make.now
    waits = []
    for _ in range(4):
        refill.note_failed(now)
        waits.append(refill.wait(60, now))
        assert refill.allowance(60, now) == 0
    assert waits == [2, 4, 8, 16]
    for _ in range(50):
        refill.note_failed(now)
    assert refill.wait(60, now) == 300
    assert refill.allowance(60, now + timedelta(seconds=300)) == 60


def test_one_good_session_ends_the_pause(make: Any) -> None:
    refill, now = Refill(), make.now
    refill.note_failed(now)
    refill.note_ready(now - timedelta(seconds=1))
    assert refill.pause(now) > 0
    refill.note_ready(now + timedelta(seconds=1))
    assert refill.pause(now) == 0


def test_a_first_run_is_let_begin_before_the_pool_is_filled_up_again(make: Any) -> None:
    refill, now = Refill(), make.now
    refill.note_missing(2, now)
    assert refill.allowance(60, now) == 60  # there was none yet that could be claimed
    refill.note_missing(0, now)
    refill.note_missing(1, now)
    assert refill.allowance(60, now) == 0
    assert refill.wait(60, now) == pytest.approx(0.5)
    refill.note_missing(2, now + timedelta(seconds=0.4))
    assert refill.allowance(60, now + timedelta(seconds=0.5)) == 60
