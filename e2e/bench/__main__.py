"""The command; see the package."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

import httpx

from codesession_crds.client import KubeClient
from e2e.bench import baseline, report
from e2e.bench.cases import Bench
from e2e.targets import Target, TargetError, release


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.bench")
    parser.add_argument("--rounds", type=int, default=40, help="samples of each case of a live session")
    parser.add_argument("--claims", type=int, default=15, help="samples of claim_first")
    parser.add_argument("--transfers", type=int, default=20, help="samples of each transfer of 1 MB")
    parser.add_argument("--output", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    try:
        with release.installed() as target:
            machine = report.machine()
            samples = asyncio.run(_measure(target, options))
            machine["load_average_after"] = report.load_average()
    except (TargetError, AssertionError) as error:
        print(f"e2e.bench: {error}", file=sys.stderr)
        return 1
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(report.as_json(samples, machine), indent=1) + "\n")
    print(report.table(samples))
    return 0


async def _measure(target: Target, options: argparse.Namespace) -> report.Samples:
    async with (
        httpx.AsyncClient(
            base_url=f"{target.url}/v1", headers=target.headers, timeout=150, trust_env=False
        ) as http,
        await KubeClient.connect() as cluster,
    ):
        bench = Bench(http, cluster)
        await bench.claims(options.claims)
        session = await bench.open()
        async with baseline.pod_like(session):
            await bench.live(session, options.rounds)
        await bench.back_to_back(session, options.rounds)
        with baseline.direct_s3() as s3:
            if s3 is None:
                print("not run: s3_direct_*, as MinIO's port on the nodes does not answer", file=sys.stderr)
            await bench.transfers(s3, options.transfers)
        await bench.end(session)
        return dict(bench.samples)


if __name__ == "__main__":
    raise SystemExit(main())
