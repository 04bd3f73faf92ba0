"""What a Dockerfile's target reads, so that an image is built again when, and only when, that changed.

Reads the subset of the language that this repository writes: no JSON form of COPY, no heredocs, no escapes.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

_INSTRUCTION = re.compile(r"(?P<keyword>[A-Z]+)\s+(?P<rest>.*)")


@dataclass(slots=True)
class Stage:
    """One FROM and what follows. `name` is its alias, else its index."""

    name: str
    base: str
    text: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    """Paths of the build context that it reads."""
    stages: set[str] = field(default_factory=set)
    """Names of other stages that it may read; names of images are among them."""


def parse(text: str) -> list[Stage]:
    """The stages in order. Raises ValueError at what this reader does not know."""
    stages: list[Stage] = []
    for line in _logical_lines(text):
        match = _INSTRUCTION.fullmatch(line)
        if match is None:
            raise ValueError(f"not an instruction: {line[:80]}")
        keyword, rest = match["keyword"], match["rest"]
        if keyword == "FROM":
            stages.append(_stage(rest, len(stages)))
        elif not stages:
            if keyword != "ARG":
                raise ValueError(f"before the first FROM: {line[:80]}")
            continue
        elif keyword == "COPY":
            _add_copy(stages[-1], rest)
        elif keyword == "RUN":
            _add_mounts(stages[-1], rest)
        elif keyword == "ADD":
            raise ValueError("write COPY instead of ADD: its sources are of this repository")
        stages[-1].text.append(line)
    return stages


def closure(stages: list[Stage], target: str) -> list[Stage]:
    """The stages that `target` needs, itself included, in the order of the file."""
    by_name = {stage.name: stage for stage in stages}
    if target not in by_name:
        raise ValueError(f"no stage {target!r}")
    needed: set[str] = set()
    todo = [target]
    while todo:
        name = todo.pop()
        if name in by_name and name not in needed:
            needed.add(name)
            todo += [by_name[name].base, *by_name[name].stages]
    return [stage for stage in stages if stage.name in needed]


def _logical_lines(text: str) -> list[str]:
    kept = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [line.strip() for line in "\n".join(kept).replace("\\\n", " ").splitlines()]


def _stage(rest: str, index: int) -> Stage:
    words = rest.split()
    name = words[2] if len(words) == 3 and words[1].upper() == "AS" else str(index)
    return Stage(name=name, base=words[0])


def _add_copy(stage: Stage, rest: str) -> None:
    words = shlex.split(rest)
    options = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
    paths = [word for word in words if not word.startswith("--")]
    if paths[0].startswith("["):
        raise ValueError(f"COPY in the JSON form: {rest[:80]}")
    if "from" in options:
        stage.stages.add(options["from"])
    else:
        stage.sources += paths[:-1]


def _add_mounts(stage: Stage, rest: str) -> None:
    for mount in re.findall(r"--mount=(\S+)", rest):
        options = dict(part.partition("=")[::2] for part in mount.split(","))
        if options.get("type", "bind") != "bind":
            continue
        if "from" in options:
            stage.stages.add(options["from"])
        else:
            stage.sources.append(options["source"])
