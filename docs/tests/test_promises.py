"""Promises name the tests that hold them, and those tests are there."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`([\w/.-]+\.py)::(\w+)`")
PAGES = ("threat-model.md", "failures.md")


@functools.cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(function.name for function in functions if function.name.startswith("test_"))


def text(page: str) -> str:
    return (ROOT / "docs" / page).read_text()


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    named = NAMED.findall(text(page))
    assert len(named) > 20
    assert [f"{path}::{test}" for path, test in named if test not in functions_of(path)] == []


def test_every_invariant_names_a_test() -> None:
    section = text("threat-model.md").split("## Invariants")[1].split("\n## ")[0]
    invariants = re.split(r"^\d+\. ", section, flags=re.MULTILINE)[1:]
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", section, flags=re.MULTILINE)]
    assert numbers == list(range(1, len(invariants) + 1))
    assert [invariant for invariant in invariants if not NAMED.search(invariant)] == []


def test_every_failure_names_a_test() -> None:
    rows = [line for line in text("failures.md").splitlines() if line.startswith("| ")]
    failures = [row for row in rows if not row.startswith("| failure |")]
    assert len(failures) > 20
    assert [row for row in failures if not NAMED.search(row)] == []
