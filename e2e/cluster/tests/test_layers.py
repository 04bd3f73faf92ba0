"""Where containerd says that a snapshot's files are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2e.cluster.layers import _top


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        ({"Type": "bind", "Source": "/s/1/fs", "Options": ["ro", "rbind"]}, "/s/1/fs"),
        (
            {"Type": "overlay", "Source": "overlay", "Options": ["index=off", "lowerdir=/s/2/fs:/s/1/fs"]},
            "/s/2/fs",
        ),
        (
            {
                "Type": "overlay",
                "Source": "overlay",
                "Options": ["workdir=/s/3/work", "upperdir=/s/3/fs", "lowerdir=/s/2/fs:/s/1/fs"],
            },
            "/s/3/fs",
        ),
    ],
    ids=["lowest", "committed", "prepared"],
)
def test_the_uppermost_layer_of_a_snapshot(mount: dict[str, object], expected: str) -> None:
    assert _top(json.dumps([mount])) == Path(expected)
