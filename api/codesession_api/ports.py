"""The two ports of the API: where code runs and where objects live. Everything above them is the same for
`codesession local` and for a cluster; everything below is an adapter."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Principal:
    """Whose request it is, as hashes (lower-case hex, 32 characters); never a name or a key."""

    tenant: str
    principal: str
    proved: bool = field(default=False, compare=False)
    """Whether a signature names this one user; otherwise all users of the tenant are one principal."""


class Outcome(enum.StrEnum):
    """How a run ended, as its end record says."""

    EXIT = "exit"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    OOM = "oom"
    OUTPUT_LIMIT = "output_limit"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One program to run. `timeout` is in seconds of wall time; the environment's own limit caps it.

    With `live` a Python program finds the variables of the sandbox's live runs before it.
    """

    run_id: str
    language: str
    code: str
    args: Sequence[str] = ()
    timeout: float = 120.0
    live: bool = False
    name: str | None = None
    """By which `Sandbox.cancel` finds it."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A regular file of the workspace; `path` is relative to /mnt/data and what the sandbox says: hostile."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class TaggedPath:
    """A path and the object (`<session>/<file id>`) whose bytes should be there."""

    path: str
    tag: str


@dataclass(slots=True)
class RunResult:
    """A finished run. `stdout` and `stderr` hold at most the environment's output limit each."""

    outcome: Outcome
    exit_code: int | None = None
    signal: int | None = None
    wall_ms: float = 0.0
    cpu_ms: float = 0.0
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False
    changed: list[FileEntry] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    files_dropped: int = 0
    """Changed files over the limit of files per run, which are not in `changed`."""
    first_output: float | None = field(default=None, compare=False)
    """When the first byte of output came, on `time.perf_counter`; None where there was none."""


class Stream(enum.StrEnum):
    """Where a program writes."""

    STDOUT = "stdout"
    STDERR = "stderr"


Heard = Callable[[Stream, bytes], Awaitable[None]]
"""Takes a piece of a run's output. Until it returns the sandbox sends no more than a window of bytes."""


@dataclass(frozen=True, slots=True)
class Tool:
    """What a program can call: by `name` outside of the sandbox, by `identifier` in the program."""

    name: str
    identifier: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool that a program waits for; `input` is JSON, and hostile as all that a sandbox says."""

    id: str
    name: str
    input: Any


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a call: a `value` of JSON, or an `error` in words."""

    call_id: str
    value: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """A run that has not ended, but waits for what comes of `calls`. `stdout` is all so far."""

    round: int
    calls: list[Call]
    stdout: bytes


class Sandbox(Protocol):
    """One live session's sandbox. Every method may raise `SandboxLost` or `SandboxError` (see `errors`)."""

    @property
    def session_id(self) -> str: ...

    async def run(self, spec: RunSpec, heard: Heard | None = None) -> RunResult:
        """Run to the end record. Cancelling the awaiting task kills the run, and so does an error of `heard`,
        which is given the output as it comes: each byte once, and none of it is in the result then."""
        ...

    async def begin(
        self, spec: RunSpec, tools: Sequence[Tool], request: str | None = None
    ) -> RunResult | Pause:
        """As `run`, of a program that can call tools. `request` is a name of this step for `cancel`."""
        ...

    async def resume(
        self, run_id: str, number: int, replies: Sequence[Reply], request: str | None = None
    ) -> RunResult | Pause:
        """Go on with a run that waits in round `number`. Cancelling the awaiting task kills it, unless
        somebody else went on with it. Raises `SandboxConflict` then, `SandboxRunUnknown` when there is no
        such run (any more)."""
        ...

    async def leave(self, run_id: str, number: int) -> bool:
        """Kill a run that waits in round `number`, or that was gone on with from here; False when somebody
        else went on with it, whose it is then."""
        ...

    async def cancel(self, request: str) -> bool:
        """Kill the run that has this name, or whose last step has it; whether there is one."""
        ...

    async def missing(self, files: Sequence[TaggedPath]) -> set[str]:
        """The paths whose bytes are not (or no longer) those of their tag."""
        ...

    async def put(
        self, path: str, chunks: AsyncIterator[bytes], *, tag: str, read_only: bool = False
    ) -> None:
        """Write a file below /mnt/data, whole or not at all."""
        ...

    def get(self, path: str, *, tag: str) -> AsyncIterator[bytes]:
        """Read a file below /mnt/data; an error while reading raises, it never ends the bytes early."""
        ...


@dataclass(frozen=True, slots=True)
class Live:
    """A session that is alive, as its owner is told of it."""

    session_id: str
    claimed: datetime
    ends: datetime
    """Unless it is used before."""


class Sandboxes(Protocol):
    """Where sandboxes come from."""

    @property
    def isolation(self) -> str:
        """What stands between the code and the host: `gvisor`, `bubblewrap` or `none`; of an environment that
        may do without, `insecure` and its runtime; of several environments, each that there is."""
        ...

    async def find(self, session_id: str, principal: Principal, *, wake: bool = False) -> Sandbox | None:
        """The live sandbox of that session if it is this principal's; None when it is gone or another's. It
        then lives on for as long as one in use does. With `wake` a suspended one is started again, for which
        SandboxesBusy and SandboxesUnavailable are raised as for a claim."""
        ...

    async def hinted(self, hint: str, principal: Principal, but: Container[str] = ()) -> Sandbox | None:
        """The oldest live sandbox that this principal claimed with this hint, leaving out `but`."""
        ...

    async def claim(
        self, principal: Principal, hint: str | None = None, *, one_shot: bool = False
    ) -> Sandbox:
        """A sandbox that never served anyone, now this principal's, to be found again by `hint` (a hash, 32
        characters of lower-case hex). With `one_shot` it is not expected to be sought again, and may end soon
        after one run if it is not. Raises `SandboxesBusy`."""
        ...

    def sessions(self, principal: Principal) -> list[Live]:
        """The live sessions of this principal that are known here, the newest first; none of them is used by
        that."""
        ...

    async def delete(self, session_id: str, principal: Principal) -> bool:
        """End the session if it is this principal's; whether there was one."""
        ...

    async def check(self) -> None:
        """Raise when no claim could be served now, with the reason."""
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    key: str
    size: int
    etag: str
    modified: datetime
    content_type: str = "application/octet-stream"
    metadata: dict[str, str] = field(default_factory=dict)
    """Names are lower case, values ASCII."""


class Objects(Protocol):
    """Where files live. A missing key raises `ObjectMissing`, a store that fails `ObjectsUnavailable`."""

    async def put(
        self,
        key: str,
        chunks: AsyncIterator[bytes],
        *,
        size: int | None = None,
        content_type: str = "application/octet-stream",
        metadata: dict[str, str] | None = None,
    ) -> ObjectInfo:
        """Store the bytes, whole or not at all; memory stays within one part whatever the size."""
        ...

    async def head(self, key: str) -> ObjectInfo: ...

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]: ...

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """In key order; `content_type` and `metadata` are not filled in."""
        ...

    async def touch(self, key: str) -> None:
        """Make `modified` the time of now; the etag may become another, nothing else does."""
        ...

    async def delete(self, key: str) -> bool:
        """Whether it was there."""
        ...

    async def check(self) -> None:
        """Raise when the store does not answer."""
        ...
