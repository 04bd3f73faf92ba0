from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def run(directory: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), **variables}
    command = [sys.executable, "-m", "codesession_api", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "variables", "complaint"),
    [
        (["api"], {}, "CODESESSION_BACKEND=kubernetes needs CODESESSION_S3_ENDPOINT"),
        (["api"], {"CODESESSION_BACKEND": "local"}, "CODESESSION_AUTH must be chosen"),
        (["local", "--host", "0.0.0.0"], {}, "CODESESSION_AUTH must be chosen to listen on 0.0.0.0"),
        (["local", "--port", "99999"], {}, "CODESESSION_PORT: input should be less than or equal to 65535"),
        (
            ["local"],
            {"CODESESSION_SANDBOX_PYTHON": "/none"},
            "CODESESSION_SANDBOX_PYTHON: /none",
        ),
        (["local"], {"PATH": "/none"}, "no way to isolate code"),
    ],
)
def test_a_start_that_cannot_be_says_why_in_one_line(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], complaint: str
) -> None:
    done = run(tmp_path, *arguments, **{"CODESESSION_PORT": "0"} | variables)
    lines = [line for line in done.stderr.splitlines() if line.startswith("codesession: ")]
    assert done.returncode == 1
    assert len(lines) == 1
    assert complaint in lines[0]
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(tmp_path, "local", "--port", str(port))
    assert done.returncode == 1
    assert f"codesession: cannot listen on 127.0.0.1 port {port}: " in done.stderr


def test_a_command_is_needed(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2
    assert "local" in done.stderr
