from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesession_api.answer import with_notes
from codesession_api.ports import Stream
from codesession_api.streaming import wanted
from codesession_api.texts import Texts
from codesession_api.wire import ExecAnswer

PIECES = st.lists(
    st.tuples(st.sampled_from(Stream), st.binary(max_size=5) | st.text("aä€🙂\n", max_size=3).map(str.encode))
)


@given(PIECES, st.lists(st.sampled_from(["a note", "another"]), max_size=2))
def test_pieces_together_are_the_plain_answers_text(
    pieces: list[tuple[Stream, bytes]], notes: list[str]
) -> None:
    texts, told = Texts(), defaultdict[Stream, str](str)
    for stream, data in pieces:
        told[stream] += texts.decode(stream, data)
    for stream, text in texts.rest(ExecAnswer(stderr=with_notes("", notes))):
        told[stream] += text
    whole = {
        stream: b"".join(data for name, data in pieces if name is stream).decode("utf-8", "replace")
        for stream in Stream
    }
    assert told[Stream.STDOUT] == whole[Stream.STDOUT]
    assert told[Stream.STDERR] == with_notes(whole[Stream.STDERR], notes)


def test_a_character_is_told_when_it_is_whole() -> None:
    texts = Texts()
    told = [texts.decode(Stream.STDOUT, bytes([byte])) for byte in "a€".encode()]
    assert told == ["a", "", "", "€"]


@pytest.mark.parametrize(
    ("accept", "events"),
    [
        ("text/event-stream", True),
        ("application/json, Text/Event-Stream;q=0.9", True),
        ("", False),
        ("*/*", False),
        ("text/*", False),
        ("application/json, text/plain, */*", False),
    ],
)
def test_events_are_for_those_who_name_them(accept: str, events: bool) -> None:
    assert wanted(accept) is events
