from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asking import Ask
from codesession import File
from codesession.form import Form
from codesession_api import disposition

MIB = 1024 * 1024


def stored(name: str = "f" * 21) -> httpx.Response:
    return httpx.Response(
        200, json={"message": "success", "session_id": "s", "files": [{"fileId": name, "filename": "x"}]}
    )


def form(content: bytes, name: str = "x", *, read_only: bool = False) -> Form:
    return Form.of(content, name, read_only=read_only, progress=None)


@given(st.binary(max_size=600_000))
def test_the_declared_length_is_the_real_one(content: bytes) -> None:
    made = form(content, "é.csv", read_only=True)
    body = b"".join(made.pieces())
    assert made.headers["content-length"] == str(len(body))
    assert content in body


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="%"), min_size=1))
def test_a_name_comes_through_as_the_server_reads_it(name: str) -> None:
    head = next(iter(form(b"", name).pieces()))
    line = head.partition(b"Content-Disposition: ")[2].partition(b"\r\n")[0]
    read, filename = disposition.names(line)
    assert read == "file"
    assert filename == disposition._without_drive(name)


def test_a_stream_is_read_from_where_it_stood_and_left_open(tmp_path: Path) -> None:
    stream = io.BytesIO(b"skipped content")
    stream.seek(8)
    made = Form.of(stream, "x", read_only=False, progress=None)
    assert b"\r\n\r\ncontent\r\n" in b"".join(made.pieces())
    assert b"".join(made.pieces()) == b"".join(made.pieces())
    assert not stream.closed


@pytest.mark.parametrize("source", [b"bytes", io.BytesIO()])
def test_what_has_no_name_needs_one(source: bytes | io.BytesIO) -> None:
    with pytest.raises(ValueError, match="needs a name"):
        Form.of(source, None, read_only=False, progress=None)


def test_only_a_regular_file_can_be_sent(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no regular file"):
        Form.of(tmp_path, None, read_only=False, progress=None)


async def test_a_file_that_becomes_shorter_is_no_upload(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(bytes(MIB))

    def shorten(sent: int, whole: int | None) -> None:
        path.write_bytes(b"")

    def handle(request: httpx.Request) -> httpx.Response:
        return stored()

    with pytest.raises(OSError, match="shorter"):
        await ask(handle, "upload", path, progress=shorten)


async def test_an_upload_is_told_of_and_never_held_as_a_whole(tmp_path: Path) -> None:
    """By the pieces alone: this test's server has to hold them."""
    path, told = tmp_path / "large", []
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    tracemalloc.start()
    made = Form.of(path, None, read_only=False, progress=lambda sent, whole: told.append((sent, whole)))
    count = sum(map(len, made.pieces()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == int(made.headers["content-length"])
    assert told[-1] == (64 * MIB, 64 * MIB)
    assert told == sorted(told)
    assert peak < 4 * MIB


class Zeros(httpx.SyncByteStream, httpx.AsyncByteStream):
    """So many MiB, which nobody holds."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __iter__(self):  # type: ignore[no-untyped-def]
        for _ in range(self._count):
            yield bytes(MIB)

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        for chunk in self:
            yield chunk


async def test_a_download_is_told_of_and_never_held_as_a_whole(ask: Ask, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    tracemalloc.start()
    path = await ask(
        lambda _: httpx.Response(200, headers={"content-length": str(32 * MIB)}, stream=Zeros(32)),
        "download",
        File(session_id="s", id="f", name="large"),
        tmp_path,
        progress=lambda through, whole: told.append((through, whole)),
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size == 32 * MIB
    assert told[-1] == (32 * MIB, 32 * MIB)
    assert peak < 12 * MIB
