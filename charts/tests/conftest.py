from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from charts import render


@pytest.fixture(scope="session")
def chart() -> Callable[..., list[dict[str, Any]]]:
    """The objects that the chart makes with values given as `a.b=c`."""

    def objects(*values: str) -> list[dict[str, Any]]:
        options = itertools.chain.from_iterable(("--set", value) for value in values)
        return [document for document in yaml.safe_load_all(render.template(*options)) if document]

    return objects
