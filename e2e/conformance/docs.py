"""`python -m e2e.conformance.docs`: asks an embedded server with a key, and puts its table into the docs."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from e2e.conformance import report
from e2e.conformance.judge import Verdict, verdicts
from e2e.conformance.registry import requirements
from e2e.conformance.server import connected
from e2e.targets.embedded import ROOT, embedded

PAGE = ROOT / "docs/conformance.md"


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        found = _verdicts(Path(directory))
    text, heading, _ = PAGE.read_text().partition("| id | requirement |")
    assert heading
    PAGE.write_text(text + report.markdown(found))
    print(report.summary(found, []), file=sys.stderr)
    return 0


def _verdicts(directory: Path) -> list[Verdict]:
    found = []
    with (
        embedded(directory, ("docs",)) as target,
        connected(f"{target.url}/v1", target.key) as server,
    ):
        for verdict in verdicts(server, requirements()):
            print(report.line(verdict), file=sys.stderr, flush=True)
            found.append(verdict)
    return found


if __name__ == "__main__":
    sys.exit(main())
