"""What the soak counts as right, told and wrong."""

from __future__ import annotations

import pytest

from e2e.soak import answers
from e2e.soak.answers import Told, WrongError
from e2e.soak.ledger import Ledger
from e2e.soak.report import growth


def issued(count: int) -> tuple[Ledger, list[str]]:
    ledger = Ledger()
    return ledger, [ledger.issue() for _ in range(count)]


def test_what_was_stored_is_asked_for_and_what_was_not_heard_of_may_be_there() -> None:
    ledger, (one,) = issued(1)
    ledger.answered(one, [one], stored=True)
    two, three, four = (ledger.issue() for _ in range(3))
    ledger.answered(four, [one, three, four], stored=True)
    assert ledger.kept == 3
    with pytest.raises(WrongError, match="found"):
        ledger.answered(ledger.issue(), [one, three, "w5"], stored=True)
    assert two == "w2"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (["w1", "w1", "w2"], "twice"),
        (["w2", "w1"], "not the last"),
        (["w1"], "not the last"),
        ([], "not the last"),
        (["w9", "w2"], "in order"),
    ],
)
def test_a_file_that_cannot_be(found: list[str], why: str) -> None:
    ledger, (_, two) = issued(2)
    with pytest.raises(WrongError, match=why):
        ledger.answered(two, found, stored=True)


def test_what_was_found_gone_never_comes_back() -> None:
    ledger, (_, two) = issued(2)
    ledger.answered(two, [two], stored=True)
    with pytest.raises(WrongError):
        ledger.answered(ledger.issue(), ["w1", "w2", "w3"], stored=True)


def test_what_was_not_stored_may_go_with_its_sandbox() -> None:
    ledger, (one,) = issued(1)
    ledger.answered(one, [one], stored=False)
    two = ledger.issue()
    ledger.answered(two, [two], stored=True)
    assert ledger.kept == 1


def test_only_documented_refusals_are_told() -> None:
    again = {"retry-after": "5"}
    assert answers.refusal(200, {}, {}) is None
    assert answers.refusal(429, again, {"error": "rate_limited"}) == Told("rate_limited")
    for status, headers, code in (
        (500, again, "internal_error"),
        (503, {}, "storage_unavailable"),
        (404, again, "not_found"),
    ):
        with pytest.raises(WrongError):
            answers.refusal(status, headers, {"error": code})


def test_a_run_without_a_result_says_why() -> None:
    lost = {"stderr": "The sandbox was lost while the code ran, and …"}
    assert answers.failure(lost) == Told("lost")
    assert answers.failure({"exit_code": 0, "stderr": "The run failed: said by the program"}) is None
    assert answers.failure({"stderr": "Traceback"}) is None
    assert not answers.has_stored({"stderr": "The file 'a' was made but could not be stored."})


def test_growth_is_of_the_second_half_alone() -> None:
    assert growth([90, 100, 150, 150, 150, 150, 152, 152]) == 2
    assert growth([1.0]) == 0
