"""What a model reads after its code ran."""

from __future__ import annotations

import httpx
import pytest

from e2e.clients.librechat import Conversation, LibreChat


def test_execute_code_prints(chat: Conversation) -> None:
    assert chat.python("print(40 + 2)").stdout.strip() == "42"


def test_execute_code_takes_arguments(chat: Conversation) -> None:
    made = chat.python("import sys; print(sys.argv[1:])", args=["a b", "ü"])
    assert made.stdout.strip() == "['a b', 'ü']"


def test_bash_runs(chat: Conversation) -> None:
    made = chat.bash("seq 3 | paste -sd+; echo $1; python3 -c 'print(6 * 7)'", args=["a b"])
    assert made.stdout.split("\n")[:3] == ["1+2+3", "a b", "42"]


def test_a_session_id_passes_every_check_of_librechats(chat: Conversation) -> None:
    session = chat.python("print(1)").artifact["session_id"]
    assert len(session) == 21
    assert session.isalnum()


def test_no_variables_from_call_to_call(chat: Conversation) -> None:
    chat.python("x = 1; print(x)")
    assert "NameError" in chat.python("print(x)").stderr


def test_an_exit_code_is_told_in_stderr(chat: Conversation) -> None:
    made = chat.bash("echo before; exit 3")
    assert made.status == "success"
    assert made.stdout.startswith("before")
    assert "3" in made.stderr


def test_an_exception_is_told_with_its_traceback(chat: Conversation) -> None:
    made = chat.python("print('before')\n1 / 0")
    assert made.stdout.startswith("before")
    assert "line 2" in made.stderr
    assert "ZeroDivisionError: division by zero" in made.stderr


def test_an_unknown_language_is_told_with_those_that_there_are(client: LibreChat) -> None:
    made = client.execute_code("f90", "end")
    assert made.status == "success"
    assert "f90" in made.stderr
    assert "py" in made.stderr


def test_a_timeout_is_told_in_stderr(http: httpx.Client) -> None:
    code = "import time\nprint('before', flush=True)\nwhile True: time.sleep(1)"
    answer = http.post("/v1/exec", json={"lang": "py", "code": code, "timeout": 1500})
    assert answer.status_code == 200
    assert answer.json()["stdout"] == "before\n"
    assert "Time limit exceeded" in answer.json()["stderr"]


@pytest.mark.parametrize("size", [70_000, 1_000_000])
def test_output_is_whole(client: LibreChat, size: int) -> None:
    """Not through the ToolNode, which shows a model 400 000 characters at most."""
    assert client.python(f"print('x' * {size})").stdout.count("x") == size


def test_output_that_is_no_utf8_is_shown(chat: Conversation) -> None:
    made = chat.python("import sys; sys.stdout.buffer.write(b'a\\xff\\x00z')")
    assert made.stdout.startswith("a")
    assert "z" in made.stdout


def test_nothing_printed_is_no_error(chat: Conversation) -> None:
    made = chat.python("pass")
    assert made.status == "success"
    assert "Empty" in made.content


def test_packages_are_there(http: httpx.Client) -> None:
    code = "import numpy, pandas, matplotlib, PIL, openpyxl; print('all')"
    assert http.post("/v1/exec", json={"lang": "py", "code": code}).json()["stdout"] == "all\n"


def test_old_librechats_sockets_survive_a_long_run(client: LibreChat) -> None:
    """LibreChat before 0.8.4 hung up on any run of 4 s after a request whose connection was kept alive."""
    client.get(f"/files/{'A' * 21}", detail="summary")
    assert client.python("import time; time.sleep(6); print('done')").stdout.strip() == "done"
