"""Starts sandboxes on this host: directories, then a runner in the isolation that was found to work."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from codesession_api.sandboxes import host, isolation, seccomp
from codesession_api.sandboxes.child import Child, StartError
from codesession_api.sandboxes.directory import remove
from codesession_api.sandboxes.host import Interpreter
from codesession_api.sandboxes.isolation import Isolation, Mount, Plan
from codesession_runner import frames

BINARIES = {Isolation.GVISOR: "runsc", Isolation.BUBBLEWRAP: "bwrap"}
_RUNNER = Path(frames.__file__).parent
_USERS = "root:x:0:0::/:/usr/sbin/nologin\nsandbox:x:{0}:{0}::/tmp:/bin/bash\n"
_GROUP = "root:x:0:\nsandbox:x:{0}:\n"


@dataclass(frozen=True, slots=True)
class LocalSandbox:
    """A started sandbox and its directory."""

    session_id: str
    child: Child
    directory: Path

    async def aclose(self) -> None:
        await self.child.aclose()
        await asyncio.to_thread(remove, self.directory)


class Launcher:
    """Starts sandboxes of one kind below `directory`, with the runner's own settings in `environment`."""

    def __init__(
        self, kind: Isolation, interpreter: Interpreter, environment: dict[str, str], directory: Path
    ) -> None:
        self.kind = kind
        self._interpreter = interpreter
        self._environment = environment
        self._directory = directory
        self._as_root = os.geteuid() == 0
        self._binary = shutil.which(BINARIES.get(kind, "")) or ""
        self._mounts, self._links = host.system()
        self._mounts += [*interpreter.mounts, Mount(str(_RUNNER), host.RUNNER), *self._accounts()]

    async def launch(self, session_id: str) -> LocalSandbox:
        """A sandbox whose interpreters are ready. Raises StartError."""
        directory = self._directory / session_id
        workspace = directory / "data"
        workspace.mkdir(parents=True, mode=0o700)
        if self._as_root and self.kind is not Isolation.NONE:
            owner = isolation.OUTER_UID if self.kind is Isolation.BUBBLEWRAP else isolation.UID
            os.chown(workspace, owner, owner)
        try:
            with self._filter() as descriptors:
                command, environment = self._command(session_id, directory, workspace, descriptors)
                child = await Child.start(command, environment, descriptors)
        except BaseException:
            remove(directory)
            raise
        return LocalSandbox(session_id, child, directory)

    @contextlib.contextmanager
    def _filter(self) -> Iterator[Sequence[int]]:
        """What bubblewrap reads its filter from, to the end: one for each start. Raises StartError."""
        if self.kind is not Isolation.BUBBLEWRAP:
            yield ()
            return
        try:
            program = seccomp.program(platform.machine())
        except seccomp.UnknownMachineError as error:
            raise StartError(str(error)) from error
        with os.fdopen(os.memfd_create("seccomp"), "wb") as file:
            file.write(program)
            file.seek(0)
            yield (file.fileno(),)

    def _command(
        self, session_id: str, directory: Path, workspace: Path, descriptors: Sequence[int]
    ) -> tuple[Sequence[str], dict[str, str]]:
        """What to start, and with which environment."""
        if self.kind is Isolation.NONE:
            command = [str(self._interpreter.host_path), "-I", str(_RUNNER), "--stdio"]
            return command, self._environment_for(self._interpreter.host_path, str(workspace))
        plan = self._plan(str(workspace))
        outer = {"PATH": os.defpath}
        if self.kind is Isolation.BUBBLEWRAP:
            (filtered,) = descriptors
            command = isolation.bubblewrap(plan, binary=self._binary, as_root=self._as_root, seccomp=filtered)
            return command, outer
        root = self._root(plan)
        document = isolation.oci_spec(plan, root=str(root), as_root=self._as_root)
        (directory / "config.json").write_text(json.dumps(document))
        command = isolation.runsc(
            plan,
            binary=self._binary,
            as_root=self._as_root,
            state=str(self._directory / "runsc"),
            bundle=str(directory),
            name=session_id,
        )
        return command, outer

    def _plan(self, workspace: str) -> Plan:
        path = self._interpreter.path
        environment = self._environment_for(Path(path), isolation.WORKSPACE)
        return Plan(
            command=(path, "-I", host.RUNNER, "--stdio"),
            environment={**environment, "CODESESSION_MEMORY_DIRECTORIES": ",".join(isolation.IN_MEMORY)},
            workspace=workspace,
            mounts=self._mounts,
            links=self._links,
        )

    def _environment_for(self, python: Path, workspace: str) -> dict[str, str]:
        return {
            "PATH": isolation.search_path([python.parent]),
            "HOME": isolation.HOME,
            "LANG": "C.UTF-8",
            "CODESESSION_WORKSPACE": workspace,
            **self._environment,
        }

    def _accounts(self) -> list[Mount]:
        """The files that name the sandbox's user, in place of the host's."""
        directory = self._directory / "etc"
        directory.mkdir(parents=True, exist_ok=True)
        mounts = []
        for name, text in (("passwd", _USERS), ("group", _GROUP)):
            path = directory / name
            path.write_text(text.format(isolation.UID))
            mounts.append(Mount(str(path), f"/etc/{name}"))
        return mounts

    def _root(self, plan: Plan) -> Path:
        """A directory with nothing but the places that gVisor mounts something at."""
        root = self._directory / "root"
        if root.is_dir():
            return root
        files = {mount.target for mount in plan.mounts if not Path(mount.source).is_dir()}
        for target in isolation.mount_points(plan):
            place = root / target.lstrip("/")
            (place.parent if target in files else place).mkdir(parents=True, exist_ok=True)
            if target in files:
                place.touch()
        for path, target in plan.links.items():
            with contextlib.suppress(FileExistsError):
                (root / path.lstrip("/")).symlink_to(target)
        return root
