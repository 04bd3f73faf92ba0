from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesession_api import wire
from codesession_api.errors import ApiError
from codesession_api.inputs import Inputs
from codesession_api.ports import Principal

S, T, F, G = "S" * 21, "T" * 21, "F" * 21, "G" * 21
ME = Principal("t", "0" * 32)
DEEP = b"[" * 100_000 + b"]" * 100_000

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def request(**fields: Any) -> wire.ExecRequest:
    return wire.parsed(wire.ExecRequest, json.dumps({"lang": "py", "code": "", **fields}).encode())


def inputs(*files: dict[str, Any], session: str | None = None) -> Inputs:
    return Inputs.of(request(files=files).files, ME, session)


@pytest.mark.parametrize(
    ("ref", "session", "legacy"),
    [
        ({"id": F, "storage_session_id": S, "name": "a", "kind": "user", "resource_id": "u"}, S, False),
        ({"id": F, "storage_session_id": S, "session_id": T, "name": "a"}, S, False),
        ({"id": F, "session_id": S, "name": "a"}, S, True),
        ({"id": F, "name": "a"}, T, True),
    ],
)
def test_where_a_reference_points(ref: dict[str, str], session: str, legacy: bool) -> None:
    found = inputs(ref, session=T)
    assert found["a"].key.session == session
    assert found["a"].ref is not None
    assert found["a"].ref.legacy == legacy
    assert found.notes == []


@pytest.mark.parametrize(
    "ref",
    [
        {},
        {"id": F},
        {"id": "x", "session_id": S, "name": "a"},
        {"id": F, "session_id": "../x", "name": "a"},
    ],
)
def test_a_reference_that_makes_no_sense_is_left_out_and_told(ref: dict[str, str]) -> None:
    found = inputs(ref)
    assert not found
    assert len(found.notes) == 1


def test_of_two_files_of_one_name_the_later_counts() -> None:
    first, second = ({"id": file_id, "storage_session_id": S} for file_id in (F, G))
    found = inputs({**first, "name": "a.csv"}, {**second, "name": "./a.csv"})
    assert {path: entry.key.file_id for path, entry in found.items()} == {"a.csv": G}


def test_sessions_are_sought_by_how_many_files_they_hold() -> None:
    names = zip("abc", [S, T, T], strict=True)
    assert inputs(*({"id": F, "storage_session_id": s, "name": n} for n, s in names)).sessions() == [T, S]


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"args": None}, "args", []),
        ({"files": None}, "files", []),
        ({"args": ["a", 1, 2.5]}, "args", ["a", "1", "2.5"]),
        ({"session_id": "made-up"}, "session_id", None),
        ({"session_id": S}, "session_id", S),
        ({"timeout": 5000}, "timeout", 5000.0),
        ({"timeout": 1e308}, "timeout", 1e308),
        ({"unknown": float("nan")}, "args", []),
        ({"LIBRECHAT_CODE_API_KEY": "k", "codeSessionKey": {}, "user_id": 1}, "args", []),
    ],
)
def test_fields_of_a_request(fields: dict[str, Any], attribute: str, value: object) -> None:
    assert getattr(request(**fields), attribute) == value


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "Invalid JSON"),
        (b"{", 400, "Invalid JSON"),
        (DEEP, 400, "Invalid JSON"),
        (b'{"lang": "py", "code": "", "more": ' + DEEP, 400, "Invalid JSON"),
        (b"[]", 422, "should be an object"),
        (b'{"lang": "py"}', 422, "code: Field required"),
        (b'{"lang": "py", "code": {"secret": 1}}', 422, "code: Input should be a valid string"),
        (b'{"lang": "py", "code": "", "files": "secret"}', 422, "files: Input should be a valid array"),
        (b'{"lang": "py", "code": "", "files": ["secret"]}', 422, "files.0: Input should be"),
        (b'{"lang": "py", "code": "", "timeout": "secret"}', 422, "timeout: Input should be a valid number"),
        (b'{"lang": "py", "code": "", "timeout": NaN}', 422, "timeout: Input should be a finite number"),
        (b'{"lang": "py", "code": "", "timeout": 1e999}', 422, "timeout: Input should be a finite number"),
        (b'{"lang": "py", "code": "\xff secret"}', 400, "Invalid JSON"),
        (b'{"lang": "py", "code": "\\ud800 secret"}', 400, "Invalid JSON"),
    ],
)
def test_a_broken_request_is_refused_without_repeating_it(body: bytes, status: int, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        wire.parsed(wire.ExecRequest, body)
    assert refused.value.status == status
    assert message in refused.value.message
    assert "secret" not in refused.value.message


@given(st.dictionaries(st.sampled_from(list(wire.ExecRequest.model_fields)), anything))
def test_any_json_is_a_request_or_a_refusal(fields: dict[str, Any]) -> None:
    with contextlib.suppress(ApiError):
        parsed = wire.parsed(wire.ExecRequest, json.dumps(fields).encode())
        Inputs.of(parsed.files, ME, parsed.session_id)


def test_an_answer_leaves_out_what_it_does_not_know() -> None:
    answer = wire.ExecAnswer(session_id=S, stdout="\x00é\u2028", exit_code=0)
    assert json.loads(answer.encode()) == {
        "session_id": S,
        "stdout": "\x00é\u2028",
        "stderr": "",
        "output": "\x00é\u2028",
        "files": [],
        "deleted_files": [],
        "language": "",
        "exit_code": 0,
    }
