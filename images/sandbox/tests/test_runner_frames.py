"""The decoder takes any bytes in any pieces, and never holds more than a frame."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesession_runner.frames import (
    MAX_PAYLOAD,
    Decoder,
    Frame,
    Kind,
    ProtocolError,
    chunks,
    credit,
    message,
)

frames = st.builds(
    Frame, kind=st.sampled_from(Kind), channel=st.integers(0, 2**32 - 1), payload=st.binary(max_size=300)
)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    points = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(points)]


@given(st.lists(frames), st.lists(st.integers(0, 10_000)))
def test_frames_survive_any_splitting(sent: list[Frame], cuts: list[int]) -> None:
    decoder = Decoder()
    data = b"".join(frame.encode() for frame in sent)
    assert [frame for piece in split(data, cuts) for frame in decoder.feed(piece)] == sent


@given(st.lists(st.binary(max_size=200)))
def test_garbage_is_frames_or_an_error_and_never_kept(pieces: list[bytes]) -> None:
    decoder = Decoder()
    try:
        for piece in pieces:
            for frame in decoder.feed(piece):
                assert len(frame.payload) <= MAX_PAYLOAD
    except ProtocolError:
        pass
    assert len(decoder._buffer) <= sum(map(len, pieces))


def test_a_frame_over_the_limit_is_refused_by_its_header_alone() -> None:
    with pytest.raises(ProtocolError):
        list(Decoder().feed((MAX_PAYLOAD + 1).to_bytes(4, "big") + b"\5\0\0\0\1"))
    with pytest.raises(ValueError, match="over"):
        Frame(Kind.DATA, 1, bytes(MAX_PAYLOAD + 1)).encode()


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none())))
def test_messages_keep_their_content(body: dict[str, object]) -> None:
    assert message(Kind.END, 1, body).json() == body


def test_odd_file_names_survive() -> None:
    assert message(Kind.RECORD, 1, {"path": "x\udcff"}).json() == {"path": "x\udcff"}


@given(st.binary(max_size=50), st.integers(1, 20))
def test_chunks_are_the_whole(data: bytes, size: int) -> None:
    pieces = list(chunks(data, size))
    assert b"".join(pieces) == data
    assert all(0 < len(piece) <= size for piece in pieces)


def test_credit_is_four_bytes() -> None:
    assert credit(1, 2**32 - 1).credit() == 2**32 - 1
    with pytest.raises(ProtocolError):
        Frame(Kind.CREDIT, 1, b"123").credit()
