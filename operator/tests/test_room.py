from __future__ import annotations

from typing import Any

import pytest

from codesession_operator.room import Lines, lacks_room


def condition(reason: str, message: str = "") -> dict[str, Any]:
    one = {"status": "False", "reason": reason, "message": message}
    return {"conditions": [one | {"lastTransitionTime": "2026-11-21T12:00:00Z"}]}


@pytest.mark.parametrize(
    ("status", "lacks"),
    [
        (None, False),
        (condition("PodPending"), False),
        (condition("QuotaExceeded"), True),
        (condition("Unschedulable", "0/3 nodes are available: 3 Insufficient cpu."), True),
        (condition("Unschedulable", "0/1 nodes are available: 1 Too many pods."), True),
        (condition("Unschedulable", "0/1 nodes are available: 1 node(s) didn't match selector"), False),
    ],
)
def test_what_lacks_room(make: Any, status: dict[str, Any] | None, lacks: bool) -> None:
    assert lacks_room(make.session(status=status)) is lacks


def waiting(make: Any, name: str, minute: int, *, claimed: bool = True, environment: str = "default") -> Any:
    created = {"name": name, "creationTimestamp": f"2026-11-21T12:{minute:02}:00Z"}
    return make.session(claimed=claimed, metadata=created, environmentRef={"name": environment})


def test_owners_first_and_then_by_age(make: Any) -> None:
    warm, old, new = (
        waiting(make, "warm", 0, claimed=False),
        waiting(make, "old", 1),
        waiting(make, "new", 2),
    )
    lines, order = Lines(), []
    for session in (new, warm, old, new):
        lines.join(session)
    assert len(lines) == 3
    while len(lines):
        (head,) = lines.heads()
        order.append(head)
        lines.leave(head)
    assert order == ["old", "new", "warm"]


def test_whose_turn_it_is(make: Any) -> None:
    old, new, other = (
        waiting(make, "old", 1),
        waiting(make, "new", 2),
        waiting(make, "other", 3, environment="gpu"),
    )
    lines = Lines()
    assert lines.is_turn_of(new)
    lines.join(old)
    assert [lines.is_turn_of(one) for one in (old, new, other)] == [True, False, True]
    lines.leave("old")
    lines.leave("never joined")
    assert lines.is_turn_of(new)
    assert "old" not in lines
