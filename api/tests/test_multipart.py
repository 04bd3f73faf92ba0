from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesession_api.errors import ApiError
from codesession_api.multipart import limited, parts

TYPE = "multipart/form-data; boundary=--------------------------x"
LINE = b"----------------------------x"

Parsed = list[tuple[str, str | None, bytes]]


def form(*fields: tuple[str, bytes], end: bytes = b"--\r\n") -> bytes:
    """Each field is the parameters of its Content-Disposition and its bytes."""
    body = b""
    for parameters, value in fields:
        disposition = f"Content-Disposition: form-data; {parameters}\r\n\r\n".encode()
        body += LINE + b"\r\n" + disposition + value + b"\r\n"
    return body + LINE + end


async def stream(body: bytes, size: int = 65536) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def parse(body: bytes, size: int = 65536, content_type: str = TYPE) -> Parsed:
    return [
        (part.name, part.filename, b"".join([chunk async for chunk in part.chunks()]))
        async for part in parts(content_type, stream(body, size))
    ]


@pytest.mark.parametrize(
    ("parameters", "filename"),
    [
        ('name="file"; filename="my data.csv"', "my data.csv"),
        ('name="file"; filename="données-日本.csv"', "données-日本.csv"),
        ('name="file"; filename="skills/pdf/SKILL.md"', "skills/pdf/SKILL.md"),
        ('name="file"; filename="a \\"quoted\\"; b.csv"', 'a "quoted"; b.csv'),
        ("name=file; filename=bare.csv", "bare.csv"),
        ('name="file"; filename=""', ""),
        ('name="kind"', None),
    ],
)
async def test_names_are_utf8_as_they_stand(parameters: str, filename: str | None) -> None:
    assert await parse(form((parameters, b"x"))) == [("kind" if filename is None else "file", filename, b"x")]


FIELDS = st.tuples(st.sampled_from(['name="a"', 'name="f"; filename="ü"']), st.binary())


@given(st.lists(FIELDS, max_size=4), st.integers(1, 70))
async def test_however_it_is_cut_it_is_the_same(fields: list[tuple[str, bytes]], size: int) -> None:
    body = form(*fields)
    assert await parse(body, size) == await parse(body)
    assert [value for _, _, value in await parse(body, size)] == [value for _, value in fields]


async def test_bytes_that_look_like_a_boundary_are_bytes() -> None:
    value = b"\r\n" + LINE[:-1] + b"\r\n--\r\n" + LINE[:5]
    assert await parse(form(('name="f"; filename="f"', value)), 3) == [("f", "f", value)]


async def test_what_is_left_of_a_part_is_skipped() -> None:
    body = form(('name="a"; filename="a"', bytes(1000)), ('name="b"', b"value"))
    assert [part.name async for part in parts(TYPE, stream(body, 10))] == ["a", "b"]


UNFINISHED = [b"", form(('name="a"', b"x"))[:-8], form(('name="a"', b"x"), end=b""), b"no form"]


@pytest.mark.parametrize("body", UNFINISHED)
async def test_a_form_that_is_cut_off_or_none_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        await parse(body)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("", 415),
        ("text/plain; boundary=x", 415),
        ("application/json", 415),
        ("multipart/form-data", 400),
        (TYPE[:30] + "=", 400),
    ],
)
async def test_another_type_of_body_is_refused(kind: str, status: int) -> None:
    with pytest.raises(ApiError) as refused:
        await parse(form(), content_type=kind)
    assert refused.value.status == status


async def test_a_long_field_is_refused() -> None:
    async for part in parts(TYPE, stream(form(('name="a"', bytes(100))))):
        with pytest.raises(ApiError, match="too long"):
            await part.text(99)


async def test_more_bytes_than_allowed_are_refused_as_they_come() -> None:
    taken = limited(stream(bytes(100), 30), 70, "file")
    assert [len(await anext(taken)) for _ in range(2)] == [30, 30]
    with pytest.raises(ApiError) as refused:
        await anext(taken)
    assert refused.value.status == 413
