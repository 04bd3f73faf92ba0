"""`codesession exec`: run a program, show its output as it comes, and end with its exit status."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codesession.cli import status
from codesession.cli.files import fetched, find, stored
from codesession.cli.terminal import line, size, tell, write
from codesession.events import End, Event, Stderr, Stdout
from codesession.models import File, Result
from codesession.synchronous import Client

LANGUAGES = {
    ".bash": "bash",
    ".c": "c",
    ".cc": "cpp",
    ".cjs": "js",
    ".cpp": "cpp",
    ".cxx": "cpp",
    ".d": "d",
    ".f90": "f90",
    ".go": "go",
    ".java": "java",
    ".js": "js",
    ".mjs": "js",
    ".php": "php",
    ".py": "py",
    ".r": "r",
    ".rs": "rs",
    ".sh": "bash",
    ".ts": "ts",
}
_EPILOG = """\
examples:
  codesession exec hello.py
  echo 'print(40 + 2)' | codesession exec -
  codesession exec plot.py --file sales.csv --out results
  codesession exec step1.py --session new        tells the session's id
  codesession exec step2.py --session ID         has the variables and files of step1
  codesession exec tool.py -- --verbose input    what stands behind -- is for the program

exit status: the program's own; 124 over the time limit, 125 over the output limit, 128 + the signal that
ended it (137: out of memory), 130 cancelled by Ctrl-C, 64 and above where nothing ran (see
docs/command-line.md)."""


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "exec",
        help="run a program, with its output as it comes",
        parents=[common],
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="FILE", help="the program, or - for what comes in on stdin")
    parser.add_argument("--lang", help="its language, e.g. py or bash (default by the suffix; of stdin py)")
    parser.add_argument(
        "--file",
        action="append",
        default=[],
        metavar="PATH",
        help="a local file that the program needs, there under its last name. May be repeated",
    )
    parser.add_argument(
        "--stored",
        action="append",
        default=[],
        metavar="SESSION/FILE",
        help="a file that the server has already, by its id or name. May be repeated",
    )
    parser.add_argument(
        "--session", metavar="ID", help="of an earlier run; `new` begins one and tells its id"
    )
    parser.add_argument("--out", metavar="DIR", help="fetch the files that the program made into this folder")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="what the program may take")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    code, lang = read(options.source, options.lang)
    with Client(options.url, options.key) as client:
        given = [find(client, reference) for reference in options.stored]
        given += [stored(client, path, quiet=options.json) for path in options.file]
        result = _executed(client, options, code, lang, given)
        made = [file for file in result.files if not file.inherited]
        written = fetched(client, made, options.out, quiet=options.json) if options.out else []
    if options.json:
        print(json.dumps({**result.model_dump(mode="json"), "written": [str(path) for path in written]}))
    elif not options.out:
        _tell_of(made)
    return status.of_run(result)


def read(source: str, lang: str | None) -> tuple[str, str]:
    """The program and its language. Raises OSError, ValueError."""
    if source == "-":
        return sys.stdin.read(), lang or "py"
    path = Path(source)
    known = lang or LANGUAGES.get(path.suffix.lower())
    if known is None:
        raise ValueError(f"the suffix of {source} tells no language: use --lang")
    return path.read_text(encoding="utf-8"), known


def _executed(
    client: Client, options: argparse.Namespace, code: str, lang: str, given: Sequence[File]
) -> Result:
    session = options.session
    if session == "new":
        session = client.open_session(lang)
        if not options.json:
            tell(f"session {session}")
    events = client.stream(
        code, lang, session=session, files=given, args=options.program, seconds=options.timeout
    )
    with events:
        for event in events:
            if isinstance(event, End):
                return event.result
            if not options.json:
                _show(event)
    raise AssertionError("a stream ends with its end or an error")


def _show(event: Event) -> None:
    match event:
        case Stdout(text):
            write(sys.stdout, text)
        case Stderr(text):
            write(sys.stderr, text)


def _tell_of(made: Sequence[File]) -> None:
    for file in made:
        tell(f"made {line(file.name)} ({size(file.size) or 'stored'}): {file.reference}")
