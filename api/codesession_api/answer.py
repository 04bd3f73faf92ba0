"""How a run's end is told: whatever a user should know goes to `stderr`, for clients show nothing else."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from codesession_api.outputs import Outputs
from codesession_api.ports import Outcome, RunResult
from codesession_api.wire import AnswerFile, ExecAnswer

_STATUS = {
    Outcome.SIGNAL: "SG",
    Outcome.TIMEOUT: "TO",
    Outcome.OOM: "OM",
    Outcome.OUTPUT_LIMIT: "OL",
}


def answer(
    session_id: str,
    language: str,
    seconds: float,
    result: RunResult,
    outputs: Outputs,
    inherited: Sequence[AnswerFile],
    notes: Sequence[str],
) -> ExecAnswer:
    """`seconds` is what the run was allowed."""
    said = [sentence] if (sentence := ending(result, seconds)) else []
    return ExecAnswer(
        session_id=session_id,
        stdout=result.stdout.decode("utf-8", "replace"),
        stderr=with_notes(result.stderr.decode("utf-8", "replace"), [*said, *notes, *outputs.notes]),
        files=[*outputs.files, *inherited],
        deleted_files=outputs.deleted,
        language=language,
        exit_code=result.exit_code,
        code=result.exit_code,
        signal=_signal_name(result.signal),
        status=_STATUS.get(result.outcome) or ("RE" if result.exit_code else None),
        wall_time=round(result.wall_ms),
        cpu_time=round(result.cpu_ms),
        artifact_delivery=outputs.delivery,
    )


def refused(language: str, session_id: str | None, reason: str) -> ExecAnswer:
    """Nothing ran, for a reason that the model can act on."""
    return ExecAnswer(session_id=session_id, language=language, stderr=with_notes("", [reason]), status="RE")


def ending(result: RunResult, seconds: float) -> str | None:
    """One sentence on how it ended; None after an exit with 0, which needs none."""
    match result.outcome:
        case Outcome.TIMEOUT:
            return f"Time limit exceeded: the program was stopped after {seconds:g} seconds."
        case Outcome.OOM:
            return "Out of memory: the program was stopped."
        case Outcome.OUTPUT_LIMIT:
            return "Output limit exceeded: the program was stopped and the rest of its output is lost."
        case Outcome.CANCELLED:
            return "The run was cancelled."
        case Outcome.SIGNAL:
            return f"The program was ended by {_signal_name(result.signal) or 'a signal'}."
        case Outcome.EXIT if result.exit_code:
            return f"The program exited with code {result.exit_code}."
    return None


def with_notes(stderr: str, notes: Sequence[str]) -> str:
    """`stderr` and the notes, each on a line of its own."""
    if not notes:
        return stderr
    lead = stderr if stderr.endswith("\n") or not stderr else stderr + "\n"
    return lead + "".join(f"{note}\n" for note in notes)


def _signal_name(number: int | None) -> str | None:
    if number is None:
        return None
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
