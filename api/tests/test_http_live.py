"""What a session keeps in memory: variables for calls that name it, over the embedded default."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.sandbox

LOST = "The variables of this session are lost"


def begun(server: Any) -> str:
    """A session with `x` in it."""
    session: str = server.exec("print('first')")["session_id"]
    answer = server.exec("x = 41", session_id=session)
    assert (answer["session_id"], answer["stderr"]) == (session, "")
    return session


def test_a_named_session_keeps_its_variables(server: Any) -> None:
    session = begun(server)
    assert server.exec("x += 1", session_id=session)["exit_code"] == 0
    assert server.exec("print(x)", session_id=session)["stdout"] == "42\n"


def test_the_first_call_leaves_none(server: Any) -> None:
    session = server.exec("x = 1")["session_id"]
    assert server.exec("print('x' in globals())", session_id=session)["stdout"] == "False\n"


def test_calls_that_come_by_their_files_or_in_bash_are_fresh(server: Any) -> None:
    session = begun(server)
    made = server.exec("open('f.txt', 'w').write('f')", session_id=session)["files"]
    answer = server.exec("print('x' in globals())", files=made)
    assert (answer["session_id"], answer["stdout"]) == (session, "False\n")
    assert server.exec('echo "[$x]"', "bash", session_id=session)["stdout"] == "[]\n"
    assert server.exec("print(x)", session_id=session)["stdout"] == "41\n"


@pytest.mark.parametrize(
    ("code", "status"), [("import os; os._exit(3)", "RE"), ("import time; time.sleep(60)", "TO")]
)
def test_a_lost_interpreter_is_told_of_and_the_session_goes_on(server: Any, code: str, status: str) -> None:
    session = begun(server)
    server.exec("open('kept.txt', 'w').write('kept')", session_id=session)
    lost = server.exec(code, session_id=session, timeout=1000)
    assert (lost["session_id"], lost["status"]) == (session, status)
    assert LOST in lost["stderr"]
    after = server.exec("print('x' in globals(), open('kept.txt').read())", session_id=session)
    assert (after["session_id"], after["stdout"]) == (session, "False kept\n")
    assert LOST in after["stderr"]
    assert server.exec("print(1)", session_id=session)["stderr"] == ""


def test_a_session_that_is_gone_begins_anew(server: Any) -> None:
    answer = server.exec("print('x' in globals())", session_id="a" * 21)
    assert (answer["stdout"], answer["stderr"]) == ("False\n", "")
