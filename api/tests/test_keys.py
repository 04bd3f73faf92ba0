from __future__ import annotations

import itertools
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesession_api import keys, names
from codesession_api.keys import FileKey
from codesession_api.ports import Principal
from codesession_crds.names import is_id, is_wire_id

ids = st.text(string.ascii_letters + string.digits + "_-", min_size=21, max_size=21)
file_keys = st.builds(
    FileKey,
    tenant=st.text("0123456789abcdef", min_size=32, max_size=32),
    session=ids,
    file_id=ids,
    name=st.text(max_size=40).map(names.clean),
    owner=st.text("0123456789abcdef", min_size=32, max_size=32),
    shared=st.booleans(),
    origin=st.none() | ids,
)


@given(file_keys, st.booleans())
def test_a_key_is_read_as_it_was_written(key: FileKey, gone: bool) -> None:
    if gone and key.origin is None:
        key = replace(key, gone=True)
    assert keys.parse(str(key)) == key


@given(file_keys)
def test_a_file_is_found_by_its_ids_alone(key: FileKey) -> None:
    assert str(key).startswith(keys.file_prefix(key.tenant, key.session, key.file_id))
    assert str(key).startswith(keys.session_prefix(key.tenant, key.session))
    assert len(str(key).encode()) <= 1024


S, F = "s" * 21, "f" * 21
A, B = Principal("t", "a" * 32), Principal("t", "b" * 32)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "t",
        "t/s/f/n",
        f"t/{S}/{F}/n",
        f"t/{S}/{F}~{A.principal}/",
        f"t/{S}/{F}?{A.principal}/n",
        f"t/{S}/{F}~{A.principal[:-1]}/n",
        f"t/{S}/{F}~{A.principal}@o/n",
        f"t/{S}/{F}~{A.principal}-{S}/n",
        f"/{S}/{F}~{A.principal}/n",
        f"t/{S}\n/{F}~{A.principal}/n",
    ],
)
def test_what_is_no_key_of_ours(key: str) -> None:
    assert keys.parse(key) is None


def test_bytes_of_a_file_that_was_given_are_at_home() -> None:
    key = FileKey.of(A, "e" * 21, "f" * 21, "d/a.csv", origin="u" * 21)
    assert str(key.home) == f"t/{'u' * 21}/{'f' * 21}~{A.principal}/d/a.csv"
    assert key.tag == key.home.tag == f"{'u' * 21}/{'f' * 21}"


@pytest.mark.parametrize(
    ("by", "shared", "readable", "own"),
    [
        (A, False, True, True),
        (A, True, True, True),
        (B, False, False, False),
        (B, True, True, False),
        (Principal("u", A.principal), True, False, False),
    ],
)
def test_who_may_read_and_delete(by: Principal, shared: bool, readable: bool, own: bool) -> None:
    key = keys.parse(str(FileKey.of(A, S, F, "a.csv", shared=shared)))
    assert key is not None
    assert (key.readable_by(by), key.of_principal(by)) == (readable, own)


def test_a_session_of_uploads_is_none_of_a_sandbox() -> None:
    made = keys.new_upload_id()
    assert is_wire_id(made)
    assert keys.is_upload_id(made)
    assert not is_id(made)


def test_ids_of_files_are_in_order_of_time_and_do_not_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the clock stands still or goes back."""
    clock = itertools.cycle([1_790_000_000_000_000_000, 1_789_000_000_000_000_000])
    monkeypatch.setattr("time.time_ns", lambda: next(clock))
    made = [keys.new_file_id() for _ in range(2000)]
    assert made == sorted(made)
    assert len({one[9:] for one in made}) == len(made)
    assert all(is_id(one) for one in made)
