"""Whether the figures are still as good as they were: by ratios within one run, since machines differ.

A bound is about two thirds of what was measured when it was set (docs/performance.md), so that what a shared
machine does to one case and not to the other is no failure, and the loss of an optimisation is.
"""

from __future__ import annotations

from dataclasses import dataclass

from e2e.bench.report import Samples, percentile


@dataclass(frozen=True, slots=True)
class Bound:
    """`ours` is at least `times` as fast as `theirs`, by medians."""

    ours: str
    theirs: str
    times: float


BOUNDS = (
    Bound("live_print", "exec_per_request", 3.2),
    Bound("fresh_print", "exec_per_request", 2.4),
    Bound("live_pandas", "exec_per_request_pandas", 20),
    Bound("live_print", "container_per_request", 120),
    Bound("fresh_print", "container_per_request", 90),
    Bound("claim_first", "container_per_request", 30),
    Bound("upload_50mb", "s3_direct_upload_50mb", 0.35),
    Bound("download_50mb", "s3_direct_download_50mb", 0.45),
)


def failures(samples: Samples) -> list[str]:
    """A line for each bound that does not hold; one whose case was not measured does not hold either."""
    return [line for bound in BOUNDS if (line := _failure(bound, samples))]


def _failure(bound: Bound, samples: Samples) -> str | None:
    for case in (bound.ours, bound.theirs):
        if not samples.get(case):
            return f"{case} was not measured"
    times = percentile(samples[bound.theirs], 50) / percentile(samples[bound.ours], 50)
    if times >= bound.times:
        return None
    return f"{bound.ours} is {times:.2f} times as fast as {bound.theirs}, not {bound.times:g}"
