"""What one runner is allowed and where it lives: read once from `CODESESSION_*` variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

PREFIX = "CODESESSION_"
RUNNER_VERSION = "0.1.0"


class SettingsError(Exception):
    """A variable holds no value of its type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is read from the variable of its name in upper case, e.g. `CODESESSION_RUN_SECONDS`."""

    run_seconds: float = 120.0
    """The longest wall time of a run; a run's own timeout may only be shorter."""
    output_bytes: int = 1024 * 1024
    """The most that a run may write to stdout, and the same for stderr."""
    file_bytes: int = 50 * 1024 * 1024
    """The largest file, both of `put` and of what user code writes (RLIMIT_FSIZE)."""
    files: int = 1000
    """Changed files that a run reports; more are counted and not named."""
    processes: int = 128
    """Processes that a run may have at one time."""
    memory_bytes: int = 0
    """Bytes that a run may have, its processes and its files in memory together; 0 for no limit."""
    memory_directories: tuple[str, ...] = ()
    """Comma list of directories that lie in memory."""
    workspace_bytes: int = 0
    """What the workspace may take on disk, for volumes that do not enforce a size; 0 for no limit."""
    languages: tuple[str, ...] = ("py", "bash")
    """Comma list of what the sandbox offers; a language whose programs are absent is left out."""
    preload: tuple[str, ...] = ("numpy", "pandas", "matplotlib.pyplot")
    """Comma list of modules imported before the first run; one that cannot be imported is left out."""
    ready_children: int = 3
    """Interpreters kept forked ahead, with the preloaded modules and without them each."""
    workspace: str = "/mnt/data"
    """The directory of the session's files, and where code starts."""
    socket: str = "/run/codesession/runner.sock"
    """The unix socket that relays connect to."""
    ready_port: int = 8700
    """A TCP port that accepts connections once the runner is ready (kubelet's startup probe); 0 for none."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises SettingsError with the variable's name."""
        given: dict[str, Any] = {}
        for field in fields(cls):
            text = environment.get(PREFIX + field.name.upper())
            if text is not None:
                given[field.name] = _parse(field.name, text, type(field.default))
        return cls(**given)

    def limits(self) -> dict[str, float]:
        """The bounds that HELLO announces."""
        names = ("run_seconds", "output_bytes", "file_bytes", "files", "processes", "memory_bytes")
        return {name: getattr(self, name) for name in names}


def _parse(name: str, text: str, kind: type) -> object:
    if kind is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        value = kind(text)
    except ValueError as error:
        raise SettingsError(f"{PREFIX}{name.upper()} is no {kind.__name__}") from error
    if kind is not str and not 0 <= value < 2**63:
        raise SettingsError(f"{PREFIX}{name.upper()} is out of range")
    return value


def user_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for user code: the image's own, without a trace of how the sandbox is run."""
    hidden = (PREFIX, "KUBERNETES_", "PYTHON")
    kept = {name: value for name, value in environment.items() if not name.startswith(hidden)}
    return {"LANG": "C.UTF-8", "MPLBACKEND": "Agg", **kept}
