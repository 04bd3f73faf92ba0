"""The operator's figures are those that were measured."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from codesession_crds.session import CodeSession
from e2e.scale import report
from e2e.scale.load import session
from e2e.scale.report import Step
from e2e.scale.writes import Writes, counted

STEP = Step(
    sessions=10_000,
    workspace=report.EMPTY_DIR,
    created=200,
    seconds=4.0,
    latencies=[0.1, 0.2, 0.3, 0.4],
    cpu={"operator": 1.0, "etcd": 3.0},
    writes=Counter({"create pods": 200, "patch codesessions/status": 220}),
    idle_seconds=30.0,
    idle_writes=Counter({"patch codeenvironments/status": 1}),
    idle_cpu=0.1,
    rss={"now": 150.0, "peak": 170.0},
    restart_seconds=6.04,
    restart_cpu=5.0,
    restart_writes=Counter(),
    restart_rss={"now": 160.0, "peak": 190.0},
)


def test_the_aims_figures() -> None:
    others = (
        replace(STEP, sessions=1_000, seconds=1.0),
        replace(STEP, sessions=11_000, workspace=report.CLAIM),
    )
    figures = report.as_json([others[0], STEP, others[1]], {"cpus": 2})
    assert figures | {"steps": None} == {
        "sessions": 10_000,
        "sessions_per_s": 50.0,
        "sessions_per_operator_cpu_s": 200.0,
        "rss_mb_at_10k": 160.0,
        "restart_settled_s": 6.0,
        "writes_per_session": 2.1,
        "steady_writes_per_min": 2.0,
        "machine": {"cpus": 2},
        "steps": None,
    }


def test_figures_of_other_sizes_are_not_called_those_of_ten_thousand() -> None:
    figures = report.as_json([replace(STEP, sessions=500)], {})
    assert (figures["sessions"], figures["rss_mb_at_10k"]) == (500, None)


def test_every_sample_is_kept() -> None:
    step = json.loads(json.dumps(STEP.as_json()))
    assert step["latencies"] == [0.1, 0.2, 0.3, 0.4]
    assert (step["ready_p50_s"], step["ready_p99_s"]) == (0.2, 0.4)
    assert step["writes"] == {"create pods": 200, "patch codesessions/status": 220}


def test_the_tables_have_a_line_for_each_size() -> None:
    volumes = replace(STEP, sessions=10_100, created=100, workspace=report.CLAIM)
    figures, used = report.table([STEP, volumes]).split("\n\n")
    assert figures.splitlines()[2:] == [
        "| 10000 | 200 | 50.0 | 200.0 | 0.2 | 0.4 | 2.1 | 2.0 | 150.0 | 160.0 | 6.0 | 5.0 |",
        "| 10100 | 100 with volumes | 25.0 | 100.0 | 0.2 | 0.4 | 4.2 | 2.0 | 150.0 | 160.0 | 6.0 | 5.0 |",
    ]
    assert used.splitlines() == [
        "| sessions | operator | etcd |",
        "| --- | --- | --- |",
        "| 10000 | 5.0 | 15.0 |",
        "| 10100 | 10.0 | 30.0 |",
    ]


def _event(verb: str, resource: str, subresource: str | None = None) -> str:
    about = {"resource": resource} | ({"subresource": subresource} if subresource else {})
    return json.dumps({"verb": verb, "objectRef": about}) + "\n"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", {}),
        (_event("create", "pods") * 2, {"create pods": 2}),
        (
            _event("patch", "codesessions", "status") + _event("delete", "pods"),
            {"patch codesessions/status": 1, "delete pods": 1},
        ),
    ],
)
def test_writes_are_counted_by_kind(lines: str, expected: dict[str, int]) -> None:
    assert counted(lines) == expected


def test_each_write_counts_once_and_a_half_written_line_later(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    writes, line = Writes(log), _event("create", "pods")
    assert writes.since() == {}
    log.write_text(line + line[:10])
    assert writes.since() == {"create pods": 1}
    log.write_text(line + line)
    assert writes.since() == {"create pods": 1}
    assert writes.since() == {}


def test_the_sessions_are_claimed_ones() -> None:
    made = CodeSession.model_validate(session("s" * 21, "bench"))
    assert made.spec.claim is not None
    assert made.spec.environment_ref.name == "bench"
