"""The figures that the benchmark prints are those that it measured."""

from __future__ import annotations

import pytest

from e2e.bench import gate, report


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
    made = report.as_json(
        {"live_print": [2.0, 1.0]}, {"cpus": 2}, {"5": 80.0}, {"memory_mib": 90.0}, {"x": 0.1}
    )
    assert made == {
        "machine": {"cpus": 2},
        "cases": [{"name": "live_print", "n": 2, "p50_ms": 1.0, "p99_ms": 2.0, "samples": [2.0, 1.0]}],
        "runs_per_second": {"5": 80.0},
        "session": {"memory_mib": 90.0},
        "floor": {"x": 0.1},
    }


def test_the_table_says_how_many_times_faster() -> None:
    printed = report.table({"live_print": [10.0], "exec_per_request": [80.0]})
    assert "live_print is 8.00 times as fast as exec_per_request" in printed


@pytest.mark.parametrize(
    ("samples", "complaint"),
    [
        ({}, "live_print was not measured"),
        ({"live_print": [10.0]}, "exec_per_request was not measured"),
        (
            {"live_print": [10.0], "exec_per_request": [31.0]},
            "live_print is 3.10 times as fast as exec_per_request, not 3.2",
        ),
        ({"live_print": [10.0], "exec_per_request": [40.0]}, None),
    ],
)
def test_the_gate_tells_what_became_slower(samples: report.Samples, complaint: str | None) -> None:
    first = next(iter(gate.failures(samples)))
    assert first == complaint if complaint else not first.startswith("live_print is")


def test_the_gate_opens_when_all_bounds_hold() -> None:
    cases = {bound.ours: [1.0] for bound in gate.BOUNDS} | {bound.theirs: [1000.0] for bound in gate.BOUNDS}
    assert gate.failures(cases) == []
