"""Running other programs, with errors that name them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from e2e.cluster.errors import ClusterError


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    new_session: bool = False,
) -> str:
    """The command's output; ClusterError with the last lines of its complaint when it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=env,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=new_session,
        )
    except FileNotFoundError as error:
        raise ClusterError(f"{words[0]} is not installed") from error
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise ClusterError(f"`{' '.join(words[:4])} …` failed ({done.returncode}): {tail}")
    return done.stdout


def succeeds(command: Sequence[str | Path]) -> bool:
    """Whether the command exists and exits 0; its output is dropped."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0
