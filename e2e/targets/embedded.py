"""The embedded server: `codesession local` as a child process on a free port."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from e2e.targets import Target, TargetError

ROOT = Path(__file__).parents[2]
_ANNOUNCED = re.compile(r"answers on (http://\S+)/v1; isolation: (\S+)")


@contextlib.contextmanager
def embedded(directory: Path, tenants: Sequence[str] = (), **settings: str) -> Iterator[Target]:
    """A server with its files below `directory`, which asks for keys if there are `tenants`; `settings` are
    `CODESESSION_*` without the prefix."""
    keys = {tenant: secrets.token_urlsafe(24) for tenant in tenants}
    if keys:
        settings |= {"auth": "api-key", "api_keys_file": str(_keys_file(directory, keys))}
    given = {f"CODESESSION_{name.upper()}": value for name, value in settings.items()}
    with (directory / "server.log").open("w+") as log:
        server = subprocess.Popen(
            [Path(sys.executable).with_name("codesession"), "local"],
            env=_environment() | {"CODESESSION_LOCAL_DIRECTORY": str(directory)} | given,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        with server:
            try:
                yield Target("embedded", _announced(server, Path(log.name)), tuple(keys.values()))
            finally:
                server.terminate()


def _keys_file(directory: Path, keys: Mapping[str, str]) -> Path:
    path = directory / "keys"
    lines = [f"{tenant}:{hashlib.sha256(key.encode()).hexdigest()}\n" for tenant, key in keys.items()]
    path.write_text("".join(lines))
    return path


def _environment() -> dict[str, str]:
    """Of this process, without its own settings. The code gets the interpreter that `make run` gives it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CODESESSION_")}
    python = ROOT / ".sandbox-venv/bin/python"
    return kept | {"CODESESSION_PORT": "0", "CODESESSION_SANDBOX_PYTHON": str(python)}


def _announced(server: subprocess.Popen[str], log: Path) -> str:
    """The URL that the server prints when it takes requests."""
    assert server.stdout is not None
    for line in server.stdout:
        if found := _ANNOUNCED.search(line):
            return found[1]
    raise TargetError(f"`codesession local` ended with {server.wait()}: {log.read_text().strip()[-500:]}")
