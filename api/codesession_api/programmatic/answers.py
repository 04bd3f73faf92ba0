"""What a program with tools came to, in the words that LibreChat's client lets through to its model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from codesession_api.answer import with_notes
from codesession_api.ports import Outcome, Reply, RunResult
from codesession_api.wire import Completed, ExecAnswer, Failed, ToolResult

FAILED = "Execution failed or timed out"
RESULT_BYTES = 4 * 1024 * 1024
RESULTS_BYTES = 15 * 1024 * 1024
"""Of one round, as JSON in ASCII, which is what the runner takes."""
_STOPPED = {
    Outcome.TIMEOUT: "Time limit exceeded",
    Outcome.OOM: "Out of memory",
    Outcome.CANCELLED: FAILED,
}


def failed(reason: str, error: str = FAILED, session_id: str | None = None) -> Failed:
    """The program has no result; the model is told why."""
    return Failed(error=error, stderr=with_notes("", [reason]), session_id=session_id)


def ended(made: ExecAnswer, result: RunResult) -> Completed | Failed:
    """What a program did by itself is completed, with its exit code in `stderr` as everywhere; one that was
    stopped is an error."""
    said = made.model_dump(exclude={"status", "output"})
    if result.outcome is Outcome.OUTPUT_LIMIT:
        larger = "stderr" if len(result.stderr) > len(result.stdout) else "stdout"
        return Failed(**said, error=f"{larger} length exceeded")
    error = _STOPPED.get(result.outcome)
    return Failed(**said, error=error) if error else Completed(**said)


def replies(results: Iterable[ToolResult]) -> list[Reply]:
    """What the program is given; a result that is too large is an error of its tool."""
    given, total = [], 0
    for result in results:
        reply = _reply(result)
        size = len(json.dumps([reply.value, reply.error]))
        if size > RESULT_BYTES or total + size > RESULTS_BYTES:
            reply, size = (
                Reply(result.call_id, error="The result is too large to be passed to the program."),
                0,
            )
        total += size
        given.append(reply)
    return given


def _reply(result: ToolResult) -> Reply:
    if result.is_error:
        return Reply(result.call_id, error=result.error_message or "The tool failed.")
    return Reply(result.call_id, _decoded(result.result))


def _decoded(value: Any) -> Any:
    """Objects and lists come as text from the Python client and as they are from that of bash."""
    if isinstance(value, str) and value.strip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
