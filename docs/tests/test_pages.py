"""What the pages name must exist: settings, values of the chart, other pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.settings import schemas
from codesession.calls import KEY_VARIABLE, URL_VARIABLE
from codesession_api.probe import cli as probe
from codesession_api.settings import PREFIX, Settings
from codesession_crds.definitions import all_definitions
from codesession_operator.settings import OperatorSettings
from codesession_runner.settings import Settings as RunnerSettings
from docs import reference, settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
VARIABLES = {
    *(PREFIX + name.upper() for name in Settings.model_fields),
    *(f"{PREFIX}OPERATOR_{name.upper()}" for name in OperatorSettings.model_fields),
    *(PREFIX + field.name.upper() for field in fields(RunnerSettings)),
    # Of the tests and their cluster.
    *(PREFIX + name for name in ("CACHE", "E2E_URL", "E2E_VALUES")),
    *(probe.KEY, probe.OTHER_KEY),
    *(URL_VARIABLE, KEY_VARIABLE),
}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pages
def test_variables_that_a_page_names_are_settings(page: Path) -> None:
    named = set(re.findall(rf"{PREFIX}[A-Z0-9_]*[A-Z0-9]\b(?!…)", page.read_text()))
    assert named <= VARIABLES


@pages
def test_values_of_the_chart_that_a_page_names_are_there(page: Path) -> None:
    values = yaml.safe_load((ROOT / "charts/codesession/values.yaml").read_text())
    named = re.findall(
        r"`((?:environments|api|auth|s3|minio|sandboxNamespace|networkPolicy)\.[\w.]+)", page.read_text()
    )
    assert [path for path in named if not exists(path.split("."), values)] == []


def exists(path: list[str], values: Any) -> bool:
    match path:
        case ["api", "settings", name]:
            return name in schemas()["apiSettings"]["properties"]
        case ["environments", _, *rest]:
            return in_schema(rest, environment_spec())
        case ["auth", "apiKeys", _]:
            return True
    for part in path:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


def environment_spec() -> dict[str, Any]:
    version = all_definitions()["codeenvironments"]["spec"]["versions"][0]
    spec: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return spec


def in_schema(path: list[str], schema: dict[str, Any]) -> bool:
    for part in path:
        if "additionalProperties" in schema:
            return True
        if part not in schema.get("properties", {}):
            return False
        schema = schema["properties"][part]
    return True


@pages
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in links(page.read_text()):
        assert (page.parent / target.partition("#")[0]).exists(), target


def links(text: str) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target and not target.startswith("#"):
            yield target


def test_the_page_of_settings_is_what_the_models_say() -> None:
    assert (ROOT / "docs/settings.md").read_text() == settings.rendered()


@pytest.mark.parametrize("name", reference.PAGES)
def test_the_pages_of_reference_are_what_the_code_says(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == reference.PAGES[name]()


def test_the_page_of_the_probes_has_each_of_them() -> None:
    lines = (ROOT / "docs/probe.md").read_text().splitlines()
    rows = [tuple(line.strip("| ").split(" | ")) for line in lines if re.match(r"\| [A-Z]-\d+ \|", line)]
    assert rows == [(entry.id, entry.text) for entry in probe.PROBES]
