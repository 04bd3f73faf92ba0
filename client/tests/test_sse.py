from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesession.errors import BadAnswerError
from codesession.sse import MAX_EVENT_BYTES, Message, Parser


def read(*chunks: bytes) -> list[Message]:
    parser = Parser()
    return [message for chunk in chunks for message in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "messages"),
    [
        (b"data: a\n\n", [Message("message", "a")]),
        (b"event: stdout\ndata: a\ndata: b\n\n", [Message("stdout", "a\nb")]),
        (b"event:stdout\r\ndata:a\r\n\r\n", [Message("stdout", "a")]),
        (b"event: x\rdata: a\r\rdata: b\r\r", [Message("x", "a"), Message("message", "b")]),
        (b"data:  two spaces\n\n", [Message("message", " two spaces")]),
        (b"data\n\n", [Message("message", "")]),
        (b": keep-alive\n\n: keep-alive\n\ndata: a\n\n", [Message("message", "a")]),
        (b"event: lost\n\ndata: a\n\n", [Message("message", "a")]),
        (b"id: 1\nretry: 5\nunknown: x\ndata: a\n\n", [Message("message", "a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Message("message", "a")]),
        (b"data: \xff\n\n", [Message("message", "\ufffd")]),
        (b"data: no end\n", []),
    ],
)
def test_a_stream_is_read_as_the_standard_says(stream: bytes, messages: list[Message]) -> None:
    assert read(stream) == messages


@given(
    st.lists(st.sampled_from([b"data: a", b"event: e", b"\n", b"\r", b"\r\n", "data: é".encode(), b":"])),
    st.data(),
)
def test_where_the_network_cuts_a_stream_does_not_matter(pieces: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pieces) + b"\n\n"
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)))))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(*chunks) == read(stream)


@given(st.lists(st.text()))
def test_any_text_comes_through(texts: list[str]) -> None:
    stream = b"".join(f"data: {json.dumps({'text': text})}\n\n".encode() for text in texts)
    assert [json.loads(message.data)["text"] for message in read(stream)] == texts


@pytest.mark.parametrize("line", [b"x" * 65536, b"data: " + b"x" * 65536 + b"\n"])
def test_an_event_without_an_end_is_given_up(line: bytes) -> None:
    with pytest.raises(BadAnswerError):
        read(*[line] * (MAX_EVENT_BYTES // 65536 + 1))
