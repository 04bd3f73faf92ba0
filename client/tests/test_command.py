"""`codesession`'s client commands against the embedded default."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from codesession import Client, Result
from codesession.cli import main, status
from codesession.cli.bench import figures_of
from codesession.cli.execute import LANGUAGES, read
from codesession.cli.sessions import lasting
from codesession.cli.terminal import bar, line, size, write
from codesession_runner.languages import NAMES
from e2e.targets import Target

sandboxed = pytest.mark.sandbox

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    environment: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The exit status, stdout and stderr of a command in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        ended = main(arguments)
        return ended, *capsys.readouterr()

    return run


@sandboxed
def test_exec_shows_what_the_program_says_and_ends_as_it_did(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "import sys; print(sys.argv[1:]); print('oh', file=sys.stderr); sys.exit(7)"
    )
    ended, out, err = command("exec", "a.py", "--", "--lang", "x")
    assert (ended, out) == (7, "['--lang', 'x']\n")
    assert err.startswith("oh\n")


@sandboxed
def test_exec_takes_files_in_and_out(command: Command, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("1,2")
    (tmp_path / "a.sh").write_text("mkdir -p d; rev in.csv > d/out.csv")
    ended, out, err = command("exec", "a.sh", "--file", "in.csv", "--out", "got")
    assert (ended, out, err) == (0, "", "codesession: wrote got/d/out.csv\n")
    assert (tmp_path / "got/d/out.csv").read_text().strip() == "2,1"
    assert not (tmp_path / "got/in.csv").exists()


@sandboxed
def test_exec_reads_a_program_from_stdin(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("echo $((40 + 2))"))
    assert command("exec", "-", "--lang", "bash") == (0, "42\n", "")


@sandboxed
def test_a_session_goes_from_one_command_to_the_next(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 6; open('f.txt', 'w').write('seven')")
    (tmp_path / "b.py").write_text("print(x, open('f.txt').read())")
    ended, _, err = command("exec", "a.py", "--session", "new")
    session = err.partition("session ")[2].split()[0]
    assert ended == 0
    assert command("exec", "b.py", "--session", session)[1] == "6 seven\n"
    ended, out, _ = command("files", session, "--json")
    [file] = json.loads(out)
    assert (file["name"], file["size"]) == ("f.txt", 5)
    assert "f.txt" in command("files", session)[1]
    assert command("download", f"{session}/f.txt", "--out", "one")[0] == 0
    assert json.loads(command("download", session, "--out", "all", "--json")[1]) == ["all/f.txt"]
    assert (tmp_path / "one/f.txt").read_bytes() == (tmp_path / "all/f.txt").read_bytes() == b"seven"
    assert command("delete", session)[0] == 0
    assert command("download", session)[0] == status.NO_INPUT


@sandboxed
def test_a_folder_that_cannot_be_written_is_said(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("echo x > made")
    (tmp_path / "got").write_text("no folder")
    ended, _, err = command("exec", "a.sh", "--out", "got")
    assert (ended, err) == (status.NO_OUTPUT, "codesession: File exists: got\n")


@sandboxed
def test_an_upload_serves_programs_to_come(command: Command, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("1,2")
    (tmp_path / "a.sh").write_text("cat in.csv")
    ended, out, _ = command("upload", "in.csv")
    reference = out.split()[0]
    assert ended == 0
    assert command("exec", "a.sh", "--stored", reference)[1] == "1,2"
    by_name = reference.partition("/")[0] + "/in.csv"
    assert command("exec", "a.sh", "--stored", by_name)[1] == "1,2"
    assert command("delete", reference)[0] == 0
    assert command("delete", reference)[0] == status.NO_INPUT


@sandboxed
def test_exec_tells_programs_all_of_it_in_json(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("echo out; echo err >&2; echo x > made; kill -9 $$")
    ended, out, err = command("exec", "a.sh", "--out", "got", "--json")
    told = json.loads(out)
    assert (ended, err) == (137, "")
    assert (told["stdout"], told["signal"], told["exit_code"]) == ("out\n", "SIGKILL", None)
    assert told["written"] == ["got/made"]


@sandboxed
def test_names_that_code_chose_write_nowhere_else(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's own names are clean; this one says what it likes."""
    hostile = {"id": "f" * 21, "storage_session_id": "s" * 21, "name": "../../../up\x1b[2J.txt"}
    answer = {"session_id": "s" * 21, "exit_code": 0, "files": [hostile]}

    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=answer) if request.method == "POST" else httpx.Response(200, text="x")

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda self, request: handle(request))
    (tmp_path / "a.py").write_text("1")
    ended, _, err = command("exec", "a.py", "--out", "got")
    assert ended == 0
    assert [path.name for path in tmp_path.rglob("*.txt")] == ["up_[2J.txt"]
    assert (tmp_path / "got/up_[2J.txt").read_text() == "x"
    assert "\x1b" not in err


@sandboxed
def test_sessions_are_listed(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("1"))
    session = command("exec", "-", "--session", "new")[2].partition("session ")[2].strip()
    assert session in [one["session_id"] for one in json.loads(command("sessions", "--json")[1])]
    assert f"\n{session}  " in command("sessions")[1]


@sandboxed
def test_ctrl_c_cancels_the_run(command: Command, tmp_path: Path) -> None:
    """As it is shown by the next run of the session, which would wait for its end."""
    with Client() as client:
        session = client.open_session()
    (tmp_path / "a.py").write_text("import time; print('begun', flush=True); time.sleep(100)")
    arguments = [sys.executable, "-m", "codesession.cli", "exec", "a.py", "--session", session]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == "begun\n"
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == status.CANCELLED
        assert running.stderr.read() == "codesession: cancelled\n"
    (tmp_path / "b.sh").write_text("echo after")
    assert command("exec", "b.sh", "--session", session)[1] == "after\n"


@sandboxed
def test_bench_measures_and_leaves_nothing(command: Command) -> None:
    ended, out, _ = command("bench", "--rounds", "1", "--json")
    assert ended == 0
    figures = json.loads(out)
    assert len(figures) == 5
    assert all(0 < of["p50"] <= of["p90"] <= of["max"] for of in figures.values())


@pytest.mark.parametrize(
    ("arguments", "ended", "complaint"),
    [
        (["exec", "none.py"], status.NO_INPUT, "none.py"),
        (["exec", "a.unknown"], status.USAGE, "--lang"),
        (["upload", "none.csv"], status.NO_INPUT, "none.csv"),
        (["download", "s/../x"], status.NO_INPUT, "no such session"),
        (["files", "a/b"], status.USAGE, "no id"),
        (["files", "x", "--url", "http://127.0.0.1:1"], status.UNREACHABLE, "cannot be reached"),
        (["files", "x", "--key", "wrong"], status.NO_PERMISSION, "credentials"),
    ],
)
@sandboxed
def test_what_is_wrong_is_said_in_one_line(
    command: Command, arguments: list[str], ended: int, complaint: str
) -> None:
    found, out, err = command(*arguments)
    assert (found, out) == (ended, "")
    assert err.count("\n") == 1
    assert complaint in err


@pytest.mark.parametrize("arguments", [[], ["exec"], ["exec", "a.py", "--bogus"], ["unknown"]])
def test_a_command_that_cannot_be_read_is_no_status_of_a_program(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == status.USAGE
    assert "usage: codesession" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "ended"),
    [
        ({"exit_code": 0}, 0),
        ({"exit_code": 3, "status": "RE"}, 3),
        ({"exit_code": None, "status": "TO"}, 124),
        ({"exit_code": None, "status": "OL"}, 125),
        ({"exit_code": None, "status": "OM"}, 137),
        ({"exit_code": None, "status": "SG", "signal": "SIGSEGV"}, 139),
        ({"exit_code": None, "status": "RE"}, status.INVALID),
        ({"exit_code": None, "status": None}, status.FAILED),
        ({"exit_code": None, "status": "SG", "signal": "Handlers"}, status.FAILED),
    ],
)
def test_every_end_of_a_run_has_its_status(said: dict[str, Any], ended: int) -> None:
    assert status.of_run(Result(session_id="s", **said)) == ended


def test_help_is_there_without_a_server_and_names_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    out = capsys.readouterr().out
    assert raised.value.code == 0
    for name in ("exec", "upload", "download", "files", "delete", "bench", "local", "probe"):
        assert f"\n  {name} " in out.replace("\n    ", "\n  "), name


def test_the_client_loads_nothing_of_the_server() -> None:
    code = """
import sys
from codesession.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
loaded = {name.partition(".")[0] for name in sys.modules}
print(loaded & {"fastapi", "kubernetes", "minio", "aiohttp", "kopf", "uvicorn", "uvloop"}, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == "set()\n"


def test_suffixes_lead_to_every_language() -> None:
    assert set(LANGUAGES.values()) == set(NAMES)


def test_the_language_can_be_told(tmp_path: Path) -> None:
    (tmp_path / "A.PY").write_text("1")
    assert read(str(tmp_path / "A.PY"), None) == ("1", "py")
    assert read(str(tmp_path / "A.PY"), "r") == ("1", "r")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("é\tx\r\n", "é\tx\r\n"),
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b[2J\x9b2J\x00", "\\x1b[2J\\x9b2J\\x00"),
    ],
)
def test_a_program_does_not_drive_the_terminal(said: str, shown: str) -> None:
    terminal, file = Terminal(), io.StringIO()
    write(terminal, said)
    write(file, said)
    assert (terminal.getvalue(), file.getvalue()) == (shown, said)


def test_text_of_servers_is_one_line() -> None:
    assert line("a\nb\x1b[2J\u202e") == "a\\x0ab\\x1b[2J\\x202e"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (7500, "2h05m"), (90_000, "25h00m")],
)
def test_times_are_told_in_whole_units(seconds: int, shown: str) -> None:
    assert lasting(timedelta(seconds=seconds)) == shown


def test_a_bar_shows_how_much_is_through() -> None:
    assert bar("f", 500_000, 1_000_000) == "f  [############............] 500.0 kB of 1.0 MB"
    assert bar("f", 500, None) == "f  500 B"
    assert [size(n) for n in (999, 1000, 999_949, 999_950, 5_000_000_000)] == [
        "999 B",
        "1.0 kB",
        "999.9 kB",
        "1.0 MB",
        "5.0 GB",
    ]


def test_figures_are_of_the_samples() -> None:
    assert figures_of([float(n) for n in range(10, 0, -1)]) == {"p50": 5.0, "p90": 10.0, "max": 10.0}
    assert figures_of([2.0]) == {"p50": 2.0, "p90": 2.0, "max": 2.0}
