"""The chart as it is published, and the version that everything says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from charts import package, render
from charts.crds import CHART, ROOT
from codesession_runner.settings import RUNNER_VERSION

# The first of them may have to build helm.
pytestmark = pytest.mark.timeout(900)


def test_a_package_installs_the_images_of_its_version(tmp_path: Path) -> None:
    archive = package.package(tmp_path, "registry.example/owner")
    assert archive.name == f"codesession-{package.version()}.tgz"
    rendered = render.helm("template", "codesession", str(archive), "--kube-version", "1.30.0")
    images = set(re.findall(r"image: \"?([\w./:-]+)", rendered))
    names = ("api", "minio", "operator", "sandbox")
    assert images == {f"registry.example/owner/codesession-{name}:{package.version()}" for name in names}


def test_without_a_registry_a_package_is_the_chart_as_it_stands(tmp_path: Path) -> None:
    archive = package.package(tmp_path)
    assert render.helm("show", "values", str(archive)).strip() == (CHART / "values.yaml").read_text().strip()


def test_chart_runner_and_changelog_have_the_version_of_the_project() -> None:
    """The rest reads it: from the installed project, or of the chart."""
    version = package.version()
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"], RUNNER_VERSION) == (version, version, version)
    released = re.findall(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == version


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md", "examples/librechat/values.yaml"])
def test_images_that_are_to_be_installed_have_the_version_of_the_project(page: str) -> None:
    named = re.findall(r"/codesession-[a-z-]+:(\d[\w.]*)", (ROOT / page).read_text())
    assert named[0] == package.version()
    # A page on upgrades names what comes next, too.
    assert page == "docs/operations.md" or set(named) == {package.version()}
