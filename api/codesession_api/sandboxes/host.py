"""What of this host a local sandbox needs: the system's libraries and the interpreter that runs the code."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from codesession_api.errors import SandboxesUnavailable
from codesession_api.sandboxes.isolation import Mount

VENV = "/opt/venv"
RUNNER = "/opt/codesession/codesession_runner"

_ROOT_NAMES = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = ("alternatives", "fonts", "ld.so.cache", "localtime", "mime.types")
_ETC_OF_LANGUAGES = ("java-*-openjdk", "ldc2.conf", "php", "R")
_ASK = "import json, sys; print(json.dumps([sys.prefix, sys.base_prefix]))"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The interpreter that runs the code, as the host and as the sandbox know it."""

    host_path: Path
    path: str
    """Its path in the sandbox."""
    mounts: tuple[Mount, ...]


async def find_interpreter(python: Path) -> Interpreter:
    """Ask `python` where its files are. Raises SandboxesUnavailable."""
    try:
        process = await asyncio.create_subprocess_exec(
            str(python), "-I", "-c", _ASK, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        output, _ = await process.communicate()
        prefix, base = map(Path, json.loads(output))
    except (OSError, ValueError) as error:
        raise SandboxesUnavailable(f"CODESESSION_SANDBOX_PYTHON: {python} does not run") from error
    return interpreter(python, prefix, base)


def interpreter(python: Path, prefix: Path, base: Path) -> Interpreter:
    """The mounts of an interpreter whose virtual environment, if any, is `prefix`."""
    home = () if base.is_relative_to("/usr") else (Mount(str(base), str(base)),)
    if prefix == base:
        return Interpreter(python, str(python.resolve()), home)
    return Interpreter(python, f"{VENV}/bin/{python.name}", (*home, Mount(str(prefix), VENV)))


def system(root: Path = Path("/")) -> tuple[list[Mount], dict[str, str]]:
    """The host's read-only system directories, and the links of a merged `/usr`."""
    mounts, links = [Mount(str(root / "usr"), "/usr")], {}
    for name in _ROOT_NAMES:
        path = root / name
        if path.is_symlink():
            links[f"/{name}"] = str(path.readlink())
        elif path.is_dir():
            mounts.append(Mount(str(path), f"/{name}"))
    for pattern in (*_ETC, *_ETC_OF_LANGUAGES):
        mounts += [Mount(str(path), f"/etc/{path.name}") for path in sorted((root / "etc").glob(pattern))]
    return mounts, links
