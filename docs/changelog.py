"""Prints what the changelog says of a version, for its release: `python -m docs.changelog VERSION`.

It ends with 1 where there is nothing to release by that name: the project says another version, or the
changelog has no day for it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from charts.package import version

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"
_HEADING = re.compile(r"^## \[([^\]]+)\] - (.+)$", re.MULTILINE)


class ChangelogError(Exception):
    """Why there is no such release, in one line."""


def notes(text: str, wanted: str, project: str) -> str:
    """The section of a version. Raises ChangelogError."""
    if wanted != project:
        raise ChangelogError(f"pyproject.toml says version {project}, not {wanted}")
    _, *parts = _HEADING.split(text)
    for name, day, section in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        if name == wanted:
            if not re.fullmatch(r"\d{4}-\d\d-\d\d", day):
                raise ChangelogError(f"CHANGELOG.md has no day for {wanted}: {day}")
            return str(section.strip())
    raise ChangelogError(f"CHANGELOG.md has nothing on {wanted}")


def main(arguments: list[str]) -> int:
    try:
        sys.stdout.write(notes(CHANGELOG.read_text(), arguments[0].removeprefix("v"), version()) + "\n")
    except ChangelogError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
