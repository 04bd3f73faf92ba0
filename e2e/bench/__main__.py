"""The command; see the package."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from codesession_crds.client import KubeClient
from e2e.bench import baseline, concurrency, floor, gate, report, usage
from e2e.bench.cases import Bench
from e2e.targets import Target, TargetError, release


@dataclass(frozen=True, slots=True)
class Measured:
    samples: report.Samples
    per_second: dict[str, float]
    session: dict[str, float]
    floor: dict[str, float]


def main() -> int:
    """1 when something could not be measured, 2 when a bound of `gate` does not hold."""
    options = _options()
    try:
        with release.installed() as target:
            machine = report.machine()
            measured = asyncio.run(_measure(target, options))
            machine["load_average_after"] = report.load_average()
    except (TargetError, AssertionError) as error:
        print(f"e2e.bench: {error}", file=sys.stderr)
        return 1
    options.output.parent.mkdir(exist_ok=True)
    made = report.as_json(measured.samples, machine, measured.per_second, measured.session, measured.floor)
    options.output.write_text(json.dumps(made, indent=1) + "\n")
    print(report.table(measured.samples))
    print(f"\nruns a second by clients: {measured.per_second}\na session: {measured.session}")
    print(f"milliseconds from a process to another: {measured.floor}")
    failures = gate.failures(measured.samples)
    for line in failures:
        print(f"e2e.bench: {line}", file=sys.stderr)
    return 2 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m e2e.bench")
    parser.add_argument("--rounds", type=int, default=40, help="samples of each case of a live session")
    parser.add_argument("--claims", type=int, default=15, help="samples of claim_first")
    parser.add_argument("--transfers", type=int, default=20, help="samples of each transfer of 1 MB")
    parser.add_argument(
        "--clients", type=int, nargs="+", default=[1, 5, 10, 20, 50], help="at one time, in turn"
    )
    parser.add_argument("--output", type=Path, default=Path("build/bench.json"))
    return parser.parse_args()


async def _measure(target: Target, options: argparse.Namespace) -> Measured:
    async with (
        httpx.AsyncClient(
            base_url=f"{target.url}/v1",
            headers=target.headers,
            timeout=150,
            trust_env=False,
            limits=httpx.Limits(max_connections=None),
        ) as http,
        await KubeClient.connect() as cluster,
    ):
        bench = Bench(http, cluster)
        await bench.claims(options.claims)
        session = await bench.open()
        async with baseline.pod_like(session) as twin:
            await bench.live(session, options.rounds, twin)
        await bench.back_to_back(session, options.rounds)
        floors = await floor.measure(bench, session, options.rounds)
        with baseline.direct_s3() as s3:
            if s3 is None:
                print("not run: s3_direct_*, as MinIO's port on the nodes does not answer", file=sys.stderr)
            await bench.transfers(s3, options.transfers)
        await bench.end(session)
        costs = await usage.measure(bench, cluster)
        per_second = await concurrency.measure(bench, options.clients)
        return Measured(dict(bench.samples), per_second, costs, floors)


if __name__ == "__main__":
    raise SystemExit(main())
