from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesession_api import disposition

FILENAMES = [
    ('filename="my data.csv"', "my data.csv"),
    ('filename="données-日本.csv"', "données-日本.csv"),
    # form-data 4 and browsers
    ('filename="a %22quoted%22; b.csv"', 'a "quoted"; b.csv'),
    ('filename="two%0D%0Alines"', "two\r\nlines"),
    ('filename="100%25 %2e%2E%2f %0a %41.csv"', "100%25 %2e%2E%2f %0a %41.csv"),
    # older clients
    (r'filename="a \"quoted\"; b.csv"', 'a "quoted"; b.csv'),
    (r'filename="back\\slash.csv"', r"back\slash.csv"),
    (r'filename="one\two.csv"', r"one\two.csv"),
    (r'filename="\\\"; name=\"other"', r'\"; name="other'),
    (r'filename="C:\Users\me\a.csv"', "a.csv"),
    (r'filename="C:\Users\"', ""),
    ("filename=bare.csv", "bare.csv"),
    ("FileName = spaced.csv ", "spaced.csv"),
    ('filename=""', ""),
    ('filename="never closed', "never closed"),
    # RFC 5987
    ("filename=\"plain.csv\"; filename*=UTF-8''donn%C3%A9es%20%E6%97%A5.csv", "données 日.csv"),
    ("filename*=utf-8'fr'donn%C3%A9es.csv; filename=\"plain.csv\"", "données.csv"),
    ("filename*=\"ISO-8859-1''donn%E9es.csv\"", "données.csv"),
    ("filename*=UTF-8''a%FFb", "a\ufffdb"),
    ("filename*=KOI8-R''%C1; filename=plain.csv", "plain.csv"),
    ("filename*=nonsense; filename=plain.csv", "plain.csv"),
    ("filename=first; filename=second", "first"),
]


@pytest.mark.parametrize(("parameters", "filename"), FILENAMES)
def test_a_name_is_read_as_it_was_meant(parameters: str, filename: str) -> None:
    header = f'form-data; name="file"; {parameters}'.encode()
    assert disposition.names(header) == ("file", filename)


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (b"", ("", None)),
        (b"form-data", ("", None)),
        (b'form-data; name="kind"', ("kind", None)),
        (b'form-data;name=kind;filename="a"', ("kind", "a")),
        (b'form-data; name="filename=x"', ("filename=x", None)),
        (b'form-data; name="f"; filename="\xff"', ("f", "\ufffd")),
    ],
)
def test_parts_of_all_kinds(header: bytes, names: tuple[str, str | None]) -> None:
    assert disposition.names(header) == names


@given(st.text())
def test_what_a_browser_writes_is_what_it_meant(filename: str) -> None:
    """The WHATWG's way, but for what is ambiguous in it."""
    written = filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    if "\\" not in filename and not any(code in filename for code in ("%22", "%0D", "%0A")):
        assert disposition.names(f'form-data; name="f"; filename="{written}"'.encode("utf-8", "replace")) == (
            "f",
            filename.encode("utf-8", "replace").decode(),
        )


@given(st.binary())
def test_no_header_is_too_odd(header: bytes) -> None:
    disposition.names(header)


@pytest.mark.timeout(10)
def test_backslashes_without_an_end_take_no_time() -> None:
    disposition.names(b'form-data; filename="' + b"\\" * 1_000_000)
