"""`codesession sessions`."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from codesession.cli import status
from codesession.cli.terminal import table
from codesession.synchronous import Client


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "sessions", help="list your live sessions, and when each ends", parents=[common]
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    with Client(options.url, options.key) as client:
        found = client.sessions()
    if options.json:
        print(json.dumps([session.model_dump(mode="json") for session in found]))
        return status.OK
    now = datetime.now(UTC)
    rows = [
        (session.session_id, lasting(now - session.since), lasting(session.ends - now)) for session in found
    ]
    table([("SESSION", "AGE", "ENDS IN"), *rows])
    return status.OK


def lasting(span: timedelta) -> str:
    """`2h05m`, `12m`, `40s`: whole units, which is as much as there is to tell."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < 60:
        return f"{seconds}s"
    minutes = seconds // 60
    return f"{minutes}m" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"
