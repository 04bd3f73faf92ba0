"""The schema of the chart's `api.settings` and `operator.settings`, from the models that read them.

Left out are those that a template sets from other values, and what makes no sense in a pod.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings

from codesession_api.settings import Settings
from codesession_operator.settings import OperatorSettings

TEMPLATES = Path(__file__).parent / "codesession/templates"
_POD = frozenset({"host", "port", "backend"})
_LOCAL = "Local backend:"


def schemas() -> dict[str, dict[str, Any]]:
    """By the name of the definition in values.schema.json."""
    return {
        "apiSettings": _schema(Settings, "api.yaml"),
        "operatorSettings": _schema(OperatorSettings, "operator.yaml"),
    }


def _schema(model: type[BaseSettings], template: str) -> dict[str, Any]:
    properties = model.model_json_schema()["properties"]
    left_out = _set_by(template, str(model.model_config["env_prefix"])) | _POD
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: _plain(properties[name])
            for name, field in model.model_fields.items()
            if name not in left_out and not (field.description or "").startswith(_LOCAL)
        },
    }


def _set_by(template: str, prefix: str) -> set[str]:
    text = (TEMPLATES / template).read_text()
    return {name.lower() for name in re.findall(rf"{prefix}([A-Z0-9_]+)\b", text)}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A null is said by leaving the value out."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    kept = {key: value for key, value in schema.items() if key not in ("anyOf", "default", "title")}
    return kept | choices[0] if choices else kept
