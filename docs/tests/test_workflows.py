"""The workflows of a hosted CI: valid, no more allowed than they need, and of this repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.cache import binary
from images.plan import IMAGES

ROOT = Path(__file__).parents[2]
WORKFLOWS = {path.stem: path for path in sorted((ROOT / ".github/workflows").glob("*.yaml"))}

# The first of them may have to build actionlint.
pytestmark = pytest.mark.timeout(900)

workflows = pytest.mark.parametrize("name", WORKFLOWS)


def workflow(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(WORKFLOWS[name].read_text())
    return loaded


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in workflow(name)["jobs"].values() for step in job.get("steps", ())]


def test_actionlint_finds_nothing() -> None:
    # Neither of the programs that it would look for on the PATH.
    command: list[str | Path] = [binary("actionlint"), "-shellcheck=", "-pyflakes=", *WORKFLOWS.values()]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@workflows
def test_targets_that_are_made_are_there(name: str) -> None:
    targets = set(re.findall(r"^([a-z.][\w./-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = "\n".join(str(step.get("run", "")) for step in steps(name))
    made = set(re.findall(r"^make ([\w./-]+)", commands, re.MULTILINE))
    assert made
    assert made <= targets


@workflows
def test_a_job_may_read_and_what_it_may_besides_is_its_own(name: str) -> None:
    assert workflow(name)["permissions"] == {"contents": "read"}
    writing = {job for job, made in workflow(name)["jobs"].items() if "permissions" in made}
    assert writing == ({"image", "publish", "release"} if name == "release" else set())
    for step in steps(name):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


@workflows
def test_what_others_may_name_is_in_no_script(name: str) -> None:
    """A branch or a title in a script is a program of whoever chose it."""
    for step in steps(name):
        assert not re.search(
            r"\$\{\{\s*(github\.(event|head_ref|ref_name|ref)|inputs)\b", step.get("run", "")
        )


def test_a_release_has_every_image_on_both_architectures() -> None:
    jobs = workflow("release")["jobs"]
    matrix = jobs["image"]["strategy"]["matrix"]
    assert matrix["platform"] == ["amd64", "arm64"]
    planned = [{"name": i.name, "file": i.dockerfile, "target": i.target} for i in IMAGES]
    assert sorted(matrix["image"], key=str) == sorted(planned, key=str)
    assert set(jobs["publish"]["strategy"]["matrix"]["name"]) == {image.name for image in IMAGES}


def test_nothing_is_published_unchecked() -> None:
    jobs = workflow("release")["jobs"]
    assert jobs["check"]["uses"] == "./.github/workflows/check.yaml"
    assert "make check" in [step.get("run") for step in steps("check")]
    needed = {
        name: {*([job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", ()))}
        for name, job in jobs.items()
    }
    assert needed == {
        "check": set(),
        "notes": set(),
        "image": {"check", "notes"},
        "publish": {"image"},
        "release": {"publish"},
    }
