"""The example's librechat.yaml is one that LibreChat itself takes, by its own schema."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.clients.install import librechat_settings

SETTINGS = Path(__file__).parents[2] / "examples/librechat/librechat.yaml"

# The first of them may have to install it.
pytestmark = pytest.mark.timeout(300)


def faults(settings: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What each release finds wrong."""
    reader = ["node", str(librechat_settings() / "driver.mjs")]
    done = subprocess.run(reader, input=json.dumps(settings), check=True, capture_output=True, text=True)
    found: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return found


def test_the_example_is_what_each_release_reads() -> None:
    settings = yaml.safe_load(SETTINGS.read_text())
    assert faults(settings) == {"v0.8.6-rc1": [], "v0.8.8-rc4": []}


def test_a_setting_that_no_release_has_is_found() -> None:
    settings = yaml.safe_load(SETTINGS.read_text())
    settings["endpoints"]["agents"]["capabilities"].append("execute_codes")
    assert [[fault["code"] for fault in found] for found in faults(settings).values()] == [
        ["invalid_enum_value"]
    ] * 2
