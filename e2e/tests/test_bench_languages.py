"""The figures of languages find their place among the others."""

from __future__ import annotations

from typing import Any

from e2e.bench import languages


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
