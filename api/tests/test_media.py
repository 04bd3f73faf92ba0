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


@pytest.mark.parametrize(
    ("name", "ascii_name", "encoded"),
    [
        ('d/a "é".csv', "a ___.csv", "a%20%22%C3%A9%22.csv"),
        ("two\r\nlines.txt", "two__lines.txt", "two%0D%0Alines.txt"),
        ("back\\slash;semi.txt", "back_slash;semi.txt", "back%5Cslash%3Bsemi.txt"),
        ("100%.txt", "100_.txt", "100%25.txt"),
        ("it's.txt", "it's.txt", "it%27s.txt"),
        ("日本.csv", "__.csv", "%E6%97%A5%E6%9C%AC.csv"),
    ],
)
def test_old_readers_get_ascii(name: str, ascii_name: str, encoded: str) -> None:
    assert media.attachment(name) == f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{encoded}"
