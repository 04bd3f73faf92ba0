"""Samples into a table and into `build/bench.json`."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from e2e.targets import kubectl

Samples = dict[str, list[float]]

# What is compared: how many times faster the first is than the second.
RATIOS = (
    ("live_print", "exec_per_request"),
    ("live_print_back_to_back", "exec_per_request"),
    ("fresh_print", "exec_per_request"),
    ("live_print", "container_per_request"),
    ("fresh_print", "container_per_request"),
    ("claim_first", "container_per_request"),
    ("claim_first", "exec_per_request"),
    ("live_pandas", "exec_per_request_pandas"),
    ("upload_1mb", "s3_direct_upload_1mb"),
    ("upload_50mb", "s3_direct_upload_50mb"),
    ("download_1mb", "s3_direct_download_1mb"),
    ("download_50mb", "s3_direct_download_50mb"),
)


def percentile(samples: Iterable[float], percent: int) -> float:
    """Of at least one sample; the nearest rank, so that it is one that was measured."""
    ordered = sorted(samples)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def as_json(
    samples: Samples,
    machine: Mapping[str, Any],
    per_second: Mapping[str, float],
    session: Mapping[str, float],
    floor: Mapping[str, float],
) -> dict[str, Any]:
    """`samples` are milliseconds by case, `per_second` runs by concurrency, `session` what one costs, `floor`
    milliseconds from one process to another."""
    cases = [
        {
            "name": name,
            "n": len(taken),
            "p50_ms": round(percentile(taken, 50), 2),
            "p99_ms": round(percentile(taken, 99), 2),
            "samples": [round(value, 2) for value in taken],
        }
        for name, taken in samples.items()
    ]
    return {
        "machine": dict(machine),
        "cases": cases,
        "runs_per_second": dict(per_second),
        "session": dict(session),
        "floor": dict(floor),
    }


def table(samples: Samples) -> str:
    lines = [f"{'case':<26}{'n':>5}{'p50 ms':>11}{'p99 ms':>11}{'min ms':>11}{'max ms':>11}"]
    for name, taken in samples.items():
        figures = (percentile(taken, 50), percentile(taken, 99), min(taken), max(taken))
        lines.append(f"{name:<26}{len(taken):>5}" + "".join(f"{figure:>11.1f}" for figure in figures))
    return "\n".join([*lines, "", *_ratios(samples)])


def _ratios(samples: Samples) -> Iterable[str]:
    for ours, theirs in RATIOS:
        if ours in samples and theirs in samples:
            ratio = statistics.median(samples[theirs]) / statistics.median(samples[ours])
            yield f"{ours} is {ratio:.2f} times as fast as {theirs}"


def machine() -> dict[str, Any]:
    """What the figures are of."""
    node = json.loads(kubectl.out("get", "nodes", "-o", "json"))["items"][0]
    versions = json.loads(kubectl.out("version", "-o", "json"))
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "load_average_before": load_average(),
        "kubernetes": versions["serverVersion"]["gitVersion"],
        "container_runtime": node["status"]["nodeInfo"]["containerRuntimeVersion"],
        "python": platform.python_version(),
    }


def load_average() -> float:
    """Over the last minute: what else the machine does makes figures worse."""
    return round(os.getloadavg()[0], 2)


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
