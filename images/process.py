"""Child processes whose output is shown only when they fail."""

from __future__ import annotations

import os
import subprocess


class ProcessError(Exception):
    """A command failed; the text has its name, exit code and last lines."""


def run(command: list[str], *, env: dict[str, str] | None = None) -> None:
    output(command, env=env, merge_errors=True)


def output(command: list[str], *, env: dict[str, str] | None = None, merge_errors: bool = False) -> str:
    """What it wrote to stdout; `env` is added to this process's environment."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merge_errors else subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        env={**os.environ, **(env or {})},
    )
    if done.returncode:
        tail = "\n".join(((done.stderr or "") + done.stdout).splitlines()[-30:])
        raise ProcessError(f"{' '.join(command[:3])} … exited with {done.returncode}\n{tail}")
    return done.stdout


def succeeds(command: list[str]) -> bool:
    """Whether the command exists and exits with 0."""
    try:
        run(command)
    except (ProcessError, FileNotFoundError):
        return False
    return True
