"""`codesession bench`: how long one client waits for a server, from where it is."""

from __future__ import annotations

import argparse
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

from codesession.calls import session_of
from codesession.cli import status
from codesession.cli.terminal import table
from codesession.errors import CodeSessionError
from codesession.models import File, Result
from codesession.synchronous import Client

_PAUSE_SECONDS = 0.15
"""Between runs, as people and models make them; the sandbox makes ready what the last run used up."""
_MB = 1_000_000
_PRINT = "print(1)"
_PANDAS = """
import pandas as pd
table = pd.DataFrame({"a": range(10_000), "b": [x * 0.5 for x in range(10_000)]})
print(table.describe())
"""


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("bench", help="measure how fast a server answers", parents=[common])
    parser.add_argument("where", metavar="URL", nargs="?", help="the server, as with --url")
    parser.add_argument("--rounds", type=int, default=20, help="of each measurement (default %(default)s)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.rounds < 1:
        raise ValueError("--rounds must be 1 or more")
    with Client(options.where or options.url, options.key) as client:
        samples = measured(client, options.rounds)
    figures = {name: figures_of(values) for name, values in samples.items()}
    if options.json:
        print(json.dumps(figures))
        return status.OK
    rows = [(name, *(f"{value:.1f}" for value in of.values())) for name, of in figures.items()]
    table([("MILLISECONDS", "P50", "P90", "MAX"), *rows])
    return status.OK


def figures_of(samples: list[float]) -> dict[str, float]:
    """Of samples in milliseconds; the percentiles are samples themselves."""
    ordered = sorted(samples)
    last = len(ordered) - 1
    return {"p50": ordered[last // 2], "p90": ordered[-(-last * 9 // 10)], "max": ordered[-1]}


def measured(client: Client, rounds: int) -> dict[str, list[float]]:
    """Milliseconds by case. Every answer is checked: a fast failure is no result."""
    session = client.open_session()
    content = secrets.token_bytes(_MB)
    made: list[File] = []
    fresh: list[str] = []
    cases: dict[str, Callable[[], None]] = {
        "print, new session": lambda: fresh.append(_ran(client.execute(_PRINT))),
        "print, live session": lambda: _in(session, client.execute(_PRINT, session=session)),
        "pandas, live session": lambda: _in(session, client.execute(_PANDAS, session=session)),
        "upload, 1 MB": lambda: made.append(client.upload(content, "bench.bin")),
        "download, 1 MB": lambda: _same(client.read(made[-1]), content),
    }
    try:
        return {name: [_timed(client, case, fresh) for _ in range(rounds)] for name, case in cases.items()}
    finally:
        for used in {session, *(file.session_id for file in made)}:
            client.delete(used)


def _timed(client: Client, case: Callable[[], None], fresh: list[str]) -> float:
    """Sessions that it made end at once, as a server has not many places."""
    time.sleep(_PAUSE_SECONDS)
    began = time.perf_counter()
    case()
    took = (time.perf_counter() - began) * 1000
    while fresh:
        client.delete(fresh.pop())
    return took


def _ran(answer: Result) -> str:
    """The session."""
    if not answer.ok:
        raise CodeSessionError(f"a program of the measurement failed: {answer.stderr.strip()[-300:]}")
    return session_of(answer)


def _in(session: str, answer: Result) -> None:
    if _ran(answer) != session:
        raise CodeSessionError("another session answered than was named")


def _same(read: bytes, content: bytes) -> None:
    if read != content:
        raise CodeSessionError("a download is not what was uploaded")
