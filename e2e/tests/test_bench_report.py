"""The figures that the benchmark prints are those that it measured."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.bench import languages, report


@pytest.mark.parametrize(
    ("samples", "percent", "expected"),
    [
        ([7.0], 50, 7.0),
        ([7.0], 99, 7.0),
        ([3, 1, 2], 50, 2),
        (range(1, 101), 99, 99),
        (range(1, 101), 50, 50),
    ],
)
def test_a_percentile_is_a_sample(samples: list[float], percent: int, expected: float) -> None:
    assert report.percentile(samples, percent) == expected


def test_the_json_has_every_case_and_sample() -> None:
    made = report.as_json({"live_print": [2.0, 1.0]}, {"cpus": 2})
    assert made == {
        "machine": {"cpus": 2},
        "cases": [{"name": "live_print", "n": 2, "p50_ms": 1.0, "p99_ms": 2.0, "samples": [2.0, 1.0]}],
    }


def test_the_table_says_how_many_times_faster() -> None:
    printed = report.table({"live_print": [10.0], "exec_per_request": [80.0]})
    assert "live_print is 8.00 times as fast as exec_per_request" in printed


def test_the_cases_of_languages_take_the_place_of_their_last_measurement() -> None:
    there: dict[str, Any] = {
        "machine": 1,
        "cases": [{"name": "live_print", "n": 1}, {"name": "language_py_first", "n": 1}],
    }
    made: dict[str, Any] = {
        "machine": 2,
        "cases": [{"name": "language_py_first", "n": 2}, {"name": "language_r_first", "n": 2}],
    }
    assert languages.merged(there, made) == {
        "machine": 1,
        "cases": [{"name": "live_print", "n": 1}, *made["cases"]],
    }


def test_the_table_of_languages_has_medians_of_those_that_were_measured() -> None:
    cases = ("language_r_first", "language_r_again")
    samples = {case: [3.0, 1.0, 2.0] for case in cases}
    cpu = {case: [1.0] for case in cases}
    assert languages.table(samples, cpu).splitlines()[2:] == ["| `r` | 2 | 1 | 2 | 1 |"]
