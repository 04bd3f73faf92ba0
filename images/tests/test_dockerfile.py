from __future__ import annotations

from pathlib import Path

import pytest

from images import dockerfile

TWO_TARGETS = """\
# a comment \\
ARG BASE=debian
FROM scratch AS wheels
FROM ${BASE} AS shared
RUN --mount=type=bind,from=wheels,target=/wheels \\
    --mount=type=bind,source=tools/install,target=/install \\
    # comments stand between lines of an instruction
    /install
FROM shared AS left
COPY --chown=1:1 left/a left/b /src/
FROM shared AS right
COPY --from=left /src /src
COPY right /src
FROM scratch
COPY other /
"""


@pytest.mark.parametrize(
    ("target", "stages", "sources"),
    [
        ("wheels", ["wheels"], []),
        ("left", ["wheels", "shared", "left"], ["tools/install", "left/a", "left/b"]),
        (
            "right",
            ["wheels", "shared", "left", "right"],
            ["tools/install", "left/a", "left/b", "right"],
        ),
        ("4", ["4"], ["other"]),
    ],
)
def test_a_target_needs_its_own_stages_and_sources(
    target: str, stages: list[str], sources: list[str]
) -> None:
    needed = dockerfile.closure(dockerfile.parse(TWO_TARGETS), target)
    assert [stage.name for stage in needed] == stages
    assert [source for stage in needed for source in stage.sources] == sources


@pytest.mark.parametrize(
    "text",
    ['FROM a\nCOPY ["x", "y"]\n', "RUN x\nFROM a\n", "FROM a\nADD x y\n", "FROM a\nrun x\n"],
)
def test_what_it_cannot_read_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"COPY|before|ADD|instruction"):
        dockerfile.parse(text)


def test_an_unknown_target_is_an_error() -> None:
    with pytest.raises(ValueError, match="no stage 'x'"):
        dockerfile.closure(dockerfile.parse(TWO_TARGETS), "x")


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parents[1].glob("*/Dockerfile")), ids=lambda p: p.parent.name
)
def test_every_source_of_our_dockerfiles_exists(path: Path) -> None:
    root = path.parents[2]
    missing = [
        s for stage in dockerfile.parse(path.read_text()) for s in stage.sources if not (root / s).exists()
    ]
    assert missing == []
