"""`codesession probe`: the suite against an installation, its report, and how it went as an exit status."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from codesession_api.probe import report
from codesession_api.probe.finding import shown
from codesession_api.probe.lab import Lab, NoFactsError, opened
from codesession_api.probe.rows import files, limits, neighbours, network, privileges, runner
from codesession_api.probe.suite import Probe, Verdict, status, verdicts

BASE = "http://127.0.0.1:8000/v1"
KEY, OTHER_KEY = "CODESESSION_PROBE_KEY", "CODESESSION_PROBE_OTHER_KEY"
PROBES: tuple[Probe[Any], ...] = (
    *privileges.PROBES,
    *files.PROBES,
    *runner.PROBES,
    *network.PROBES,
    *neighbours.PROBES,
    *limits.PROBES,
)
_ADDRESS = re.compile(r"(tcp|udp|icmp):\[?([0-9A-Fa-f.:]+?)\]?(?::(\d{1,5}))?")


def add_to(commands: Any) -> None:
    """The command's parser, to those of `codesession`."""
    parser = commands.add_parser(
        "probe", help="try to get out of a sandbox of an installation, through its API"
    )
    parser.add_argument("--base-url", default=BASE, help="as LibreChat has it (default %(default)s)")
    parser.add_argument("--key", default=os.environ.get(KEY), help=f"sent as X-API-Key (default ${KEY})")
    parser.add_argument(
        "--other-key", default=os.environ.get(OTHER_KEY), help=f"of another tenant (default ${OTHER_KEY})"
    )
    parser.add_argument(
        "--reach",
        action="append",
        default=[],
        type=address,
        metavar="PROTOCOL:HOST:PORT",
        help="also an address that no sandbox may reach, e.g. tcp:10.0.0.7:6443; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="the verdicts as JSON on stdout")


def address(text: str) -> tuple[str, str, int]:
    """`tcp:HOST:PORT`, `udp:HOST:PORT` or `icmp:HOST`, HOST a number. Raises ArgumentTypeError."""
    found = _ADDRESS.fullmatch(text)
    port = int(found[3] or 0) if found else 0
    if not found or not _is_number(found[2]) or port > 65535 or (found[1] != "icmp") != bool(found[3]):
        raise argparse.ArgumentTypeError(f"{text} is not tcp:HOST:PORT, udp:HOST:PORT or icmp:HOST")
    return found[1], found[2], port


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def run(options: argparse.Namespace) -> int:
    """The exit status: 0 all held, 1 something is broken, 2 something could not be run."""
    keys = [key for key in (options.key, options.other_key) if key]
    try:
        if options.other_key and not options.key:
            raise NoFactsError("another tenant's key needs that of a first one")
        found = asyncio.run(_found(options, keys))
    except NoFactsError as error:
        print(f"codesession probe: {options.base_url}: {shown(str(error))}", file=sys.stderr)
        return 2
    if options.json:
        print(report.document(found))
    print(report.summary(found), file=sys.stderr)
    return status(found)


async def _found(options: argparse.Namespace, keys: Sequence[str]) -> list[Verdict]:
    """Each verdict is shown as it comes; with --json on stderr."""
    found = []
    async with opened(options.base_url, keys, options.reach) as lab:
        await _answers(lab)
        async for verdict in verdicts(lab, PROBES):
            print(report.line(verdict), file=sys.stderr if options.json else sys.stdout, flush=True)
            found.append(verdict)
    return found


async def _answers(lab: Lab) -> None:
    """Raises NoFactsError where no program runs at all."""
    await lab.session()
