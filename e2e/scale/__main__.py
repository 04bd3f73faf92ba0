"""The command; see the package."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from e2e.bench.report import load_average, machine
from e2e.cluster.errors import ClusterError
from e2e.scale import plane, report
from e2e.scale.steps import Plan, measure


def main() -> int:
    options = _options()
    *others, core = sorted(os.sched_getaffinity(0))
    if not others:
        print("e2e.scale: the operator needs a core of its own, and there is one in all", file=sys.stderr)
        return 1
    # Whatever is started from here on stays off the operator's core.
    os.sched_setaffinity(0, others)
    try:
        with plane.running() as instance:
            os.environ["KUBECONFIG"] = str(instance.cluster.kubeconfig)
            about = {**machine(), "operator_core": core, "other_cores": others}
            plan = Plan(options.sizes, options.volumes, options.idle, core)
            asyncio.run(measure(instance, plan, partial(_keep, options.output, about)))
    except (ClusterError, TimeoutError) as error:
        print(f"e2e.scale: {error or 'sessions do not become Ready'}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m e2e.scale")
    parser.add_argument(
        "--sizes", type=_sizes, default=[1_000, 3_000, 10_000], help="sessions, upwards: 1000,3000"
    )
    parser.add_argument("--volumes", type=int, default=500, help="sessions with a volume each, besides; or 0")
    parser.add_argument(
        "--idle", type=float, default=60, help="seconds to watch for writes where none should be"
    )
    parser.add_argument("--output", type=Path, default=Path("build/bench-operator.json"))
    return parser.parse_args()


def _sizes(text: str) -> list[int]:
    sizes = [int(word) for word in text.split(",")]
    if sizes != sorted(set(sizes)) or sizes[0] < 1:
        raise argparse.ArgumentTypeError("numbers that grow, such as 1000,3000,10000")
    return sizes


def _keep(output: Path, about: Mapping[str, Any], steps: Sequence[report.Step]) -> None:
    document = report.as_json(steps, {**about, "load_average_after": load_average()})
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(document, indent=1) + "\n")
    print(report.table(steps), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
