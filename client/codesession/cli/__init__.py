"""The command `codesession`: the client's commands, and those that the server adds by entry points."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import NoReturn

from codesession.calls import DEFAULT_URL, KEY_VARIABLE, URL_VARIABLE
from codesession.cli import bench, execute, files, sessions, status
from codesession.cli.terminal import reason, tell
from codesession.errors import CodeSessionError

GROUP = "codesession.commands"
_OURS = (execute, files, sessions, bench)
_EPILOG = f"""\
The server is that of --url or ${URL_VARIABLE} (default {DEFAULT_URL}).
Its key, if it asks for one, is read from ${KEY_VARIABLE}.

  codesession exec hello.py       a first program
  codesession exec --help         more examples; each command has such a page"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """argparse's own status, 2, is one that many programs have."""
        self.print_usage(sys.stderr)
        self.exit(status.USAGE, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status, see `status`; of a server's command its own."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in (others := entry_points(group=GROUP)).names:
        command = others[given[0]].load()
        return int(command(given[1:]))
    given, program = _split(given)
    options = _parser().parse_args(given)
    options.program = program
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        tell("cancelled")
        return status.CANCELLED
    except BrokenPipeError:
        # Nobody reads any more; so that Python does not complain of it once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return status.BROKEN_PIPE
    except (CodeSessionError, ValueError) as error:
        tell(str(error))
        return status.of_error(error)
    except OSError as error:
        tell(reason(error))
        return status.NO_INPUT


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What stands behind `--` is the program's own."""
    if "--" not in arguments:
        return arguments, []
    place = arguments.index("--")
    return arguments[:place], arguments[place + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="codesession",
        description="Run code in a sandbox of a CodeSession server, and move files to it and from it.",
        epilog=_EPILOG + _of_the_server(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = _common()
    for module in _OURS:
        module.add_to(commands, common)
    return parser


def _common() -> argparse.ArgumentParser:
    """The options that all commands have."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--url", help=f"of the server (default ${URL_VARIABLE}, or {DEFAULT_URL})")
    common.add_argument(
        "--key", help=f"that it asks for; safer in ${KEY_VARIABLE}, as lists of processes show it"
    )
    common.add_argument("--json", action="store_true", help="the outcome as JSON on stdout, for programs")
    return common


def _of_the_server() -> str:
    """The commands that an installation of the server adds, with what their docstrings begin with."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    lines = [f"  {entry.name:<20}{str(entry.load().__doc__).partition(chr(10))[0]}" for entry in found]
    return "\n".join(["", "", "of the server:", *lines]) if lines else ""
