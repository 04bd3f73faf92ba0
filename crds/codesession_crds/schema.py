"""From a pydantic model to a structural schema as a CustomResourceDefinition takes it.

Kubernetes takes a subset of OpenAPI 3.0: no references, no null, no titles, every type stated. What pydantic
says in other words is put into these; what has no counterpart is an error, not a silent loss.
"""

from __future__ import annotations

from typing import Any

from codesession_crds.model import Model

Schema = dict[str, Any]

_DROPPED = ("title", "$defs", "const", "propertyNames")
_KNOWN = {
    "type", "format", "description", "default", "enum", "pattern", "anyOf", "properties", "required", "items",
    "additionalProperties", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
    "maxProperties",
}  # fmt: skip


def structural(model: type[Model]) -> Schema:
    """The schema of `model` as one tree. Raises ValueError for what Kubernetes could not express."""
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    return _node(schema, definitions)


def _node(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    schema = _inlined(_without_null(schema), definitions)
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
    node = {key: value for key, value in schema.items() if key not in _DROPPED}
    unknown = [key for key in node if key not in _KNOWN and not key.startswith("x-kubernetes-")]
    if unknown:
        raise ValueError(f"no structural form for {', '.join(unknown)}")
    if "properties" in node:
        node["properties"] = {name: _node(value, definitions) for name, value in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            node[key] = _node(node[key], definitions)
    if "properties" in node and "default" in node:
        node["default"] = {key: value for key, value in node["default"].items() if value is not None}
    return dict(sorted(node.items()))


def _inlined(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Follow a reference; what stands beside it wins, rules add up."""
    if "$ref" not in schema:
        return schema
    target = _inlined(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    rules = target.get("x-kubernetes-validations", []) + beside.get("x-kubernetes-validations", [])
    return {**target, **beside, **({"x-kubernetes-validations": rules} if rules else {})}


def _without_null(schema: Schema) -> Schema:
    """An optional field is one that may be absent: Kubernetes drops nulls."""
    choices = schema.get("anyOf", [])
    if {"type": "null"} not in choices:
        return schema
    (only,) = (choice for choice in choices if choice != {"type": "null"})
    rest = {
        key: value
        for key, value in schema.items()
        if key != "anyOf" and not (key == "default" and value is None)
    }
    return {**only, **rest}
