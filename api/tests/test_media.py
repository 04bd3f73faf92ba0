from __future__ import annotations

from email.message import Message
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesession_api import media, names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "text/csv"),
        ("plot.PNG", "image/png"),
        ("d.d/photo.webp", "image/webp"),
        ("a.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("a.json", "application/json"),
        ("a.py", "text/x-python"),
        ("Dockerfile", "application/octet-stream"),
        ("a.unheardof", "application/octet-stream"),
    ],
)
def test_content_types(name: str, expected: str) -> None:
    assert media.content_type(name) == expected


@given(st.text(max_size=80).map(names.clean))
def test_any_name_makes_a_header_that_says_it_again(name: str) -> None:
    header = media.attachment(name)
    assert header.isascii()
    assert header.isprintable()
    message = Message()
    message["content-disposition"] = header
    assert message.get_content_disposition() == "attachment"
    assert unquote(header.partition("filename*=UTF-8''")[2]) == names.base(name)


def test_old_readers_get_ascii() -> None:
    assert media.attachment('d/a "é".csv') == (
        "attachment; filename=\"a _\u005f_.csv\"; filename*=UTF-8''a%20%22%C3%A9%22.csv"
    )
