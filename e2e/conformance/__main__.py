"""`python -m e2e.conformance --base-url URL`: the table of a server, and 0 when all requirements pass."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from e2e.conformance import report
from e2e.conformance.judge import Verdict, verdicts
from e2e.conformance.registry import Requirement, requirements
from e2e.conformance.server import connected


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        chosen = requirements(options.only)
    except KeyError as unknown:
        print(f"there is no requirement {unknown}", file=sys.stderr)
        return 2
    if complaint := _unreachable(options.base_url):
        print(complaint, file=sys.stderr)
        return 2
    keyed = bool(options.api_key or options.bearer)
    asked = [entry for entry in chosen if keyed or not entry.keyed]
    found = _judged(options, asked)
    left_out = [entry for entry in chosen if entry not in asked]
    print(f"\n{report.summary(found, left_out)}", file=sys.stderr)
    if options.markdown:
        print(report.markdown(found), end="")
    if options.json:
        options.json.write_text(report.document(found))
    return 0 if found and all(verdict.result == "pass" for verdict in found) else 1


def _judged(options: argparse.Namespace, asked: list[Requirement]) -> list[Verdict]:
    """Each verdict is shown as it comes; with --markdown on stderr, so that stdout is the table alone."""
    found = []
    shown = sys.stderr if options.markdown else sys.stdout
    with connected(options.base_url, options.api_key, options.bearer) as server:
        for verdict in verdicts(server, asked):
            print(report.line(verdict), file=shown, flush=True)
            found.append(verdict)
    return found


def _unreachable(base: str) -> str | None:
    try:
        httpx.get(base, timeout=10, trust_env=False)
    except httpx.HTTPError as error:
        return f"{base} cannot be reached: {error}"
    return None


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m e2e.conformance", description=__doc__)
    parser.add_argument("--base-url", required=True, help="as LibreChat has it, e.g. http://host:8000/v1")
    parser.add_argument("--api-key", help="sent as X-API-Key")
    parser.add_argument("--bearer", help="a JWT, sent as Authorization: Bearer")
    parser.add_argument("--only", nargs="+", default=(), metavar="ID", help="e.g. C-101 C-901/3.9.2")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts there too")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown on stdout")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
