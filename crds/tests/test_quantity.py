from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesession_crds.quantity import parse


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", "1"),
        ("250m", "0.25"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("1Ki", "1024"),
        ("1Gi", "1073741824"),
        ("1G", "1000000000"),
        ("1k", "1000"),
        ("1E", "1000000000000000000"),
        ("1Ei", str(2**60)),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("5e-1", "0.5"),
        ("100n", "0.0000001"),
        ("7u", "0.000007"),
    ],
)
def test_amounts(text: str, amount: str) -> None:
    assert parse(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "-1", "1 Gi", "Gi", "1gi", "1KiB", "0x1", "1e999", "1" * 33, "\u0661"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        parse(text)


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=10**12), st.sampled_from(["", "m", "k", "Mi", "Gi"]))
def test_amounts_grow_with_their_number(number: int, suffix: str) -> None:
    assert parse(f"{number}{suffix}") < parse(f"{number + 1}{suffix}")
