from __future__ import annotations

import pytest

from codesession_api.answer import answer, ending, with_notes
from codesession_api.outputs import Outputs
from codesession_api.ports import Outcome, RunResult


@pytest.mark.parametrize(
    ("result", "sentence", "status"),
    [
        (RunResult(Outcome.EXIT, exit_code=0), None, None),
        (RunResult(Outcome.EXIT, exit_code=3), "The program exited with code 3.", "RE"),
        (RunResult(Outcome.SIGNAL, signal=11), "The program was ended by SIGSEGV.", "SG"),
        (RunResult(Outcome.SIGNAL, signal=99), "The program was ended by SIG99.", "SG"),
        (RunResult(Outcome.TIMEOUT), "Time limit exceeded: the program was stopped after 1.5 seconds.", "TO"),
        (RunResult(Outcome.OOM), "Out of memory: the program was stopped.", "OM"),
        (RunResult(Outcome.OUTPUT_LIMIT), "Output limit exceeded: the program was stopped", "OL"),
        (RunResult(Outcome.CANCELLED), "The run was cancelled.", None),
    ],
)
def test_how_a_run_ended_is_in_stderr(result: RunResult, sentence: str | None, status: str | None) -> None:
    said = ending(result, 1.5)
    assert (said or "").startswith(sentence or "")
    told = answer("s", "py", 1.5, result, Outputs(), [], [])
    assert told.stderr == (f"{said}\n" if said else "")
    assert told.status == status


def test_notes_stand_on_lines_of_their_own() -> None:
    assert with_notes("half", ["one", "two"]) == "half\none\ntwo\n"
    assert with_notes("whole\n", ["one"]) == "whole\none\n"
    assert with_notes("", ["one"]) == "one\n"
    assert with_notes("as it was", []) == "as it was"


def test_output_that_is_no_text_is_made_some() -> None:
    told = answer("s", "py", 1, RunResult(Outcome.EXIT, 0, stdout=b"\xff\xfe ok"), Outputs(), [], [])
    assert told.stdout == "\ufffd\ufffd ok"
    assert told.encode()
