"""The CustomResourceDefinitions of both resources, as objects ready to apply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codesession_crds import labels
from codesession_crds.environment import CodeEnvironment
from codesession_crds.model import GROUP, VERSION, Model
from codesession_crds.schema import Schema, structural
from codesession_crds.session import CodeSession

_READY = '.status.conditions[?(@.type=="Ready")]'


@dataclass(frozen=True, slots=True)
class _Kind:
    model: type[Model]
    plural: str
    short_name: str
    columns: tuple[tuple[str, str, str], ...]
    """(title, type, JSON path); the age is added to all."""


_KINDS = (
    _Kind(
        CodeEnvironment,
        "codeenvironments",
        "cenv",
        (
            ("Image", "string", ".spec.image"),
            ("Runtime", "string", ".spec.runtimeClassName"),
            ("Network", "string", ".spec.network.mode"),
            ("Wanted", "integer", ".spec.warmPool.replicas"),
            ("Warm", "integer", ".status.warm"),
            ("Claimed", "integer", ".status.claimed"),
            ("Ready", "string", f"{_READY}.status"),
            ("Isolated", "string", '.status.conditions[?(@.type=="Isolated")].status'),
        ),
    ),
    _Kind(
        CodeSession,
        "codesessions",
        "cses",  # "cs" is taken by componentstatuses
        (
            ("Environment", "string", ".spec.environmentRef.name"),
            ("Phase", "string", ".status.phase"),
            ("Claimed", "date", ".spec.claim.claimedAt"),
            ("Reason", "string", f"{_READY}.reason"),
            ("Shutdown", "string", ".spec.shutdownTime"),
        ),
    ),
)


def all_definitions() -> dict[str, dict[str, Any]]:
    """Both definitions by their plural names."""
    return {kind.plural: _definition(kind) for kind in _KINDS}


def _definition(kind: _Kind) -> dict[str, Any]:
    name = kind.model.__name__
    columns = (*kind.columns, ("Age", "date", ".metadata.creationTimestamp"))
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {labels.MANAGED_BY: labels.MANAGER}},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": name,
                "listKind": f"{name}List",
                "plural": kind.plural,
                "singular": name.lower(),
                "shortNames": [kind.short_name],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": title, "type": type_, "jsonPath": path} for title, type_, path in columns
                    ],
                    "schema": {"openAPIV3Schema": _root(structural(kind.model))},
                }
            ],
        },
    }


def _root(schema: Schema) -> Schema:
    """The API server owns metadata and its schema."""
    own = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    return {**schema, "properties": {**schema["properties"], **own}, "required": ["spec"]}
