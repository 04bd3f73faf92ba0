"""The kit itself: how a requirement can end, what is shown of it, and that nothing is left behind."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from e2e.clients import install
from e2e.conformance import expect, report
from e2e.conformance.__main__ import main
from e2e.conformance.judge import Result, Verdict, judged, verdicts
from e2e.conformance.registry import Check, Requirement, requirements
from e2e.conformance.server import Server, connected
from e2e.conformance.stub import keeping_alive

DOCS = Path(__file__).parents[2] / "docs/conformance.md"


def _differs(server: Server) -> None:
    expect.same("x\ny", "z", "stdout")


def _is_absent(server: Server) -> None:
    expect.offered(server.send("PUT", "/no-such-route"))


def _breaks(server: Server) -> None:
    raise KeyError("files")


def _hangs(server: Server) -> None:
    threading.Event().wait()


@pytest.mark.parametrize(
    ("check", "result", "why"),
    [
        (lambda server: None, "pass", ""),
        (_differs, "fail", r"stdout is 'x\ny', not 'z'"),
        (_is_absent, "not offered", "PUT /v1/no-such-route answers 501"),
        (_breaks, "fail", "KeyError: 'files'"),
        (_hangs, "fail", "not done within 0.2 s"),
    ],
)
def test_whatever_happens_is_a_verdict(check: Check, result: Result, why: str) -> None:
    with keeping_alive() as stub, connected(stub.base) as server:
        verdict = judged(Requirement("C-000", "§0", "some", check, seconds=0.2), server)
    assert (verdict.result, verdict.why) == (result, why)


def test_the_sessions_that_a_requirement_made_are_ended() -> None:
    def runs(server: Server) -> None:
        server.fresh("echo ran")

    with keeping_alive(run_seconds=0) as stub, connected(stub.base) as server:
        judged(Requirement("C-000", "§0", "some", runs), server)
        assert stub.requests == ["POST /v1/exec", f"DELETE /v1/sessions/{'E' * 21}"]


def test_a_clients_requirement_is_one_for_each_version() -> None:
    assert [entry.version for entry in requirements(["C-906"])] == list(install.VERSIONS)
    assert [entry.id for entry in requirements(["C-906/3.9.2", "C-001"])] == ["C-001", "C-906/3.9.2"]
    with pytest.raises(KeyError, match="C-90"):
        requirements(["C-90"])


def test_clients_take_turns() -> None:
    """Only one lives at a time."""
    versions = [entry.version for entry in requirements()]
    assert [version for version in dict.fromkeys(versions) if version] == list(install.VERSIONS)
    assert versions == sorted(versions, key=[*dict.fromkeys(versions)].index)


def test_the_markdown_has_versions_that_end_alike_on_one_line() -> None:
    def verdict(version: str, result: Result) -> Verdict:
        entry = Requirement(f"C-9/{version}", "§9", "a | b", _breaks, version=version)
        return Verdict(entry, result, "", 0)

    found = [verdict("2", "pass"), verdict("3", "fail"), verdict("4", "pass")]
    assert report.markdown(found).splitlines()[2:] == [
        "| C-9 | a \\| b | §9 | 3 | fail |  |",
        "| C-9 | a \\| b | §9 | 2, 4 | pass |  |",
    ]


def test_the_command_tells_by_its_status_whether_all_passed(tmp_path: Path) -> None:
    file = tmp_path / "verdicts.json"
    with keeping_alive(run_seconds=0) as stub:
        assert main(["--base-url", stub.base, "--only", "C-417", "--json", str(file)]) == 0
        assert main(["--base-url", stub.base, "--only", "C-417", "C-422"]) == 1
        assert main(["--base-url", stub.base, "--only", "C-no"]) == 2
    (found,) = json.loads(file.read_text())
    assert (found["id"], found["result"]) == ("C-417", "pass")
    assert main(["--base-url", stub.base, "--only", "C-417"]) == 2


def test_each_verdict_comes_when_it_is_known() -> None:
    seen = []

    def sees(server: Server) -> None:
        seen.append(1)

    entries = [Requirement(f"C-00{number}", "§0", "some", sees) for number in range(2)]
    with keeping_alive() as stub, connected(stub.base) as server:
        assert next(verdicts(server, entries)).result == "pass"
    assert seen == [1]


def test_the_docs_have_a_row_for_each_requirement() -> None:
    """As `--markdown` makes it; how each ended is the run's to say."""
    rows = [line[2:].split(" | ") for line in DOCS.read_text().splitlines() if line.startswith("| C-")]
    shown = {(*cells[:3], version) for cells in rows for version in cells[3].split(", ")}
    asked = {
        (entry.id.partition("/")[0], entry.text, entry.section, entry.version) for entry in requirements()
    }
    assert shown == asked
