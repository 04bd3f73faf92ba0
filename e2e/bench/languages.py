"""What each language takes in the image `full`: its example first in a new sandbox, then again in the same.

    python -m e2e.bench.languages [--only LANG …] [--sandboxes 2] [--again 4] [--output build/bench.json]

`language_<lang>_first` and `language_<lang>_again` are milliseconds at the API's client; they replace the
cases of these names in the output. The table also has the processor time of the runs. A `first` is slowed by
the next sandbox, which starts meanwhile.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import uuid
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx

from e2e.bench import report
from e2e.bench.report import Samples
from e2e.targets import Target, TargetError, release
from e2e.targets.full import FULL
from e2e.targets.waiting import eventually
from sandbox_programs import PROGRAMS


class Languages:
    """`samples` are milliseconds at the client, `cpu` the same of processor time, by case."""

    def __init__(self, http: httpx.Client) -> None:
        self.samples: Samples = defaultdict(list)
        self.cpu: Samples = defaultdict(list)
        self._http = http

    def measure(self, lang: str, again: int) -> None:
        """In one new sandbox."""
        eventually(FULL.warm_sessions, "a full pool", seconds=180)
        hint = f"v2:user:{uuid.uuid4().hex}"
        session = self._run("first", lang, hint)
        eventually(FULL.warm_sessions, "a full pool", seconds=180)
        for _ in range(again):
            assert self._run("again", lang, hint) == session, "another session answered"
        self._http.delete(f"/sessions/{session}").raise_for_status()

    def _run(self, which: str, lang: str, hint: str) -> str:
        request = {"lang": lang, "code": PROGRAMS[lang], "args": ["a", "b"], "runtime_session_hint": hint}
        began = time.perf_counter()
        answer: dict[str, Any] = self._http.post("/exec", json=request).raise_for_status().json()
        took = (time.perf_counter() - began) * 1000
        assert (answer["stdout"], answer["exit_code"]) == ("é a b\n0\n", 3), answer["stderr"]
        case = f"language_{lang}_{which}"
        self.samples[case].append(took)
        self.cpu[case].append(answer["cpu_time"])
        return str(answer["session_id"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.languages")
    parser.add_argument("--only", nargs="+", choices=PROGRAMS, default=list(PROGRAMS), metavar="LANG")
    parser.add_argument("--sandboxes", type=int, default=2, help="new sandboxes of each language")
    parser.add_argument("--again", type=int, default=4, help="further runs in each")
    parser.add_argument("--output", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    try:
        with release.installed(FULL) as target:
            machine = report.machine()
            measured = _measured(target, options)
    except (TargetError, AssertionError) as error:
        print(f"e2e.bench.languages: {error}", file=sys.stderr)
        return 1
    _merge(options.output, report.as_json(measured.samples, machine, {}, {}, {}))
    print(table(measured.samples, measured.cpu))
    return 0


def _measured(target: Target, options: argparse.Namespace) -> Languages:
    headers, base = target.headers, f"{target.url}/v1"
    with httpx.Client(base_url=base, headers=headers, timeout=150, trust_env=False) as http:
        measured = Languages(http)
        for _ in range(options.sandboxes):
            for lang in options.only:
                measured.measure(lang, options.again)
        return measured


def _merge(path: Path, made: dict[str, Any]) -> None:
    """Put the cases in place of those of the same names."""
    there: dict[str, Any] = json.loads(path.read_text()) if path.exists() else made | {"cases": []}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(merged(there, made), indent=1) + "\n")


def merged(there: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    names = {case["name"] for case in made["cases"]}
    kept = [case for case in there["cases"] if case["name"] not in names]
    return there | {"cases": kept + made["cases"]}


def table(samples: Samples, cpu: Samples) -> str:
    """As docs/languages.md has it: medians."""
    lines = ["| ms | first | CPU | again | CPU |", "|---|---|---|---|---|"]
    for lang in PROGRAMS:
        cases = [f"language_{lang}_{which}" for which in ("first", "again")]
        if all(case in samples for case in cases):
            figures = [statistics.median(taken[case]) for case in cases for taken in (samples, cpu)]
            lines.append(f"| `{lang}` | " + " | ".join(f"{figure:.0f}" for figure in figures) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
