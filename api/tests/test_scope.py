from __future__ import annotations

import pytest

from codesession_api.scope import ANY, Scope, ascii_value

SKILL = {"kind": "skill", "owner": "s1", "version": "3"}


@pytest.mark.parametrize(
    ("scope", "noted", "admitted"),
    [
        (ANY, SKILL, True),
        (Scope("skill", "s1", "3"), SKILL, True),
        (Scope("skill"), SKILL, True),
        (Scope("user", "s1", "3"), SKILL, False),
        (Scope("skill", "s2", "3"), SKILL, False),
        (Scope("skill", "s1", "4"), SKILL, False),
        (Scope("user", "u1"), {}, True),
        (Scope("user", "u1", "7"), {"kind": "user", "owner": "u1"}, True),
        (Scope("user", "données"), {"kind": "user", "owner": ascii_value("données")}, True),
        (Scope("user", "x" * 300), {"kind": "user", "owner": ascii_value("x" * 300)}, True),
        (Scope("", "", ""), SKILL, True),
    ],
)
def test_what_contradicts_an_upload(scope: Scope, noted: dict[str, str], admitted: bool) -> None:
    assert scope.admits(noted) is admitted


def test_a_scope_is_true_when_it_says_anything() -> None:
    assert [bool(scope) for scope in (ANY, Scope(version=""), Scope(version="1"))] == [False, False, True]
