"""`codesession probe` against a target, as anyone runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from e2e.targets import Target


def probed(target: Target, *more: str) -> tuple[int, dict[str, str], str]:
    """The exit status, each probe's result, and the lines."""
    keys = dict(zip(("CODESESSION_PROBE_KEY", "CODESESSION_PROBE_OTHER_KEY"), target.keys, strict=False))
    command: list[str | Path] = [Path(sys.executable).with_name("codesession"), "probe", "--json"]
    done = subprocess.run(
        [*command, "--base-url", f"{target.url}/v1", *more],
        env=os.environ | keys,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.stdout, done.stderr
    return done.returncode, {entry["id"]: entry["result"] for entry in json.loads(done.stdout)}, done.stderr


def by(results: dict[str, str], wanted: str) -> set[str]:
    return {number for number, result in results.items() if result == wanted}
