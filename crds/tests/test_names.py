from __future__ import annotations

import pytest

from codesession_crds import labels
from codesession_crds.names import is_id, is_wire_id, new_id


def test_new_ids_are_ids_on_the_wire_and_in_the_cluster() -> None:
    ids = {new_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(is_id(one) and is_wire_id(one) for one in ids)


@pytest.mark.parametrize(
    ("value", "ours", "wire"),
    [
        ("a" * 21, True, True),
        ("a" + "0" * 20, True, True),
        ("0" + "a" * 20, False, True),
        ("A" * 21, False, True),
        ("_-" * 10 + "x", False, True),
        ("a" * 20, False, False),
        ("a" * 22, False, False),
        ("a" * 21 + "\n", False, False),
        ("a" * 20 + "/", False, False),
        ("", False, False),
    ],
)
def test_which_values_are_ids(value: str, ours: bool, wire: bool) -> None:
    assert is_id(value) is ours
    assert is_wire_id(value) is wire


def test_sandbox_labels_satisfy_the_sandbox_selector() -> None:
    own = labels.of_sandbox("a" * 21, "default")
    wanted = dict(pair.split("=") for pair in labels.SANDBOX_SELECTOR.split(","))
    assert wanted.items() <= own.items()
    assert not wanted.items() <= labels.of_policy("default").items()
