from __future__ import annotations

import pytest

from docs import changelog

TEXT = "# Changelog\n\n## [1.1.0] - unreleased\n\nsoon\n\n## [1.0.0] - 2026-01-02\n\n### Added\n\n- it\n"


def test_notes_are_the_section_of_the_version() -> None:
    assert changelog.notes(TEXT, "1.0.0", "1.0.0") == "### Added\n\n- it"


@pytest.mark.parametrize(
    ("wanted", "project", "why"),
    [
        ("1.0.0", "1.1.0", "pyproject.toml says version 1.1.0, not 1.0.0"),
        ("1.1.0", "1.1.0", "no day for 1.1.0: unreleased"),
        ("1.2.0", "1.2.0", "nothing on 1.2.0"),
    ],
)
def test_there_is_no_release_without_its_version_and_its_day(wanted: str, project: str, why: str) -> None:
    with pytest.raises(changelog.ChangelogError, match=why):
        changelog.notes(TEXT, wanted, project)
