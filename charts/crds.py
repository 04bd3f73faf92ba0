"""Brings the chart in line with `crds/*.yaml`: `python -m charts.crds [--check]`.

The chart carries copies of the definitions, and its values.schema.json describes an environment as they do,
so that `helm install` refuses what the API server would drop without a word; and the settings of the API and
of the operator as their models do.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from charts import settings

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts/codesession"
SCHEMA = CHART / "values.schema.json"


def wanted() -> dict[Path, str]:
    """What the chart's files should hold."""
    definitions = {
        CHART / "crds" / path.name: path.read_text() for path in sorted((ROOT / "crds").glob("*.yaml"))
    }
    environment = yaml.safe_load((ROOT / "crds/codeenvironments.yaml").read_text())
    spec = environment["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema = json.loads(SCHEMA.read_text())
    schema["$defs"] |= {"environment": strict(spec), **settings.schemas()}
    return {**definitions, SCHEMA: json.dumps(schema, indent=2) + "\n"}


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A structural schema as JSON Schema that refuses unknown fields."""
    result = {
        key: value
        for key, value in schema.items()
        if not key.startswith("x-kubernetes-") and key != "default"
    }
    if "properties" in result:
        result["properties"] = {name: strict(value) for name, value in result["properties"].items()}
        result["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(result.get(key), dict):
            result[key] = strict(result[key])
    return result


def write(files: dict[Path, str]) -> None:
    for path, text in files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def stale(files: dict[Path, str]) -> list[str]:
    """Names of the files that are missing or say something else."""
    return [
        str(path.relative_to(ROOT))
        for path, text in files.items()
        if not path.is_file() or path.read_text() != text
    ]


def main(arguments: list[str]) -> int:
    if arguments != ["--check"]:
        write(wanted())
        return 0
    for name in (names := stale(wanted())):
        sys.stderr.write(f"{name} is stale; run `make crds`\n")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
