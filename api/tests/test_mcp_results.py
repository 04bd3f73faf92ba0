"""What a run, a file or a refusal becomes for a model."""

from __future__ import annotations

import base64
from typing import Any

import mcp_types as types
import pytest

from codesession_api.errors import SandboxesBusy, SandboxesUnavailable, TooLarge, not_found, refusal
from codesession_api.mcp import results
from codesession_api.wire import AnswerFile, ExecAnswer

SESSION, FILE = "s" * 21, "f" * 21


def file(name: str, size: int = 3, **fields: Any) -> AnswerFile:
    return AnswerFile(id=FILE, name=name, session_id=SESSION, storage_session_id=SESSION, size=size, **fields)


def ran(**fields: Any) -> ExecAnswer:
    return ExecAnswer(**{"session_id": SESSION, "exit_code": 0, "wall_time": 1, **fields})


def words(result: types.CallToolResult) -> str:
    (text,) = [part.text for part in result.content if isinstance(part, types.TextContent)]
    return text


@pytest.mark.parametrize(
    ("answer", "said", "is_error"),
    [
        (ran(stdout="42\n"), f"42\n[session_id: {SESSION}, exit code: 0]", False),
        (ran(), f"The program printed nothing.\n[session_id: {SESSION}, exit code: 0]", False),
        (
            ran(stdout="a", stderr="b\n", exit_code=1, status="RE"),
            f"a\nstderr:\nb\n[session_id: {SESSION}, exit code: 1]",
            False,
        ),
        (
            ran(stderr="Time limit", exit_code=None, status="TO"),
            f"stderr:\nTime limit\n[session_id: {SESSION}]",
            False,
        ),
        (ExecAnswer(stderr="Unsupported language\n", status="RE"), "stderr:\nUnsupported language", True),
        (
            ran(stdout="x", files=[file("a.csv"), file("in.csv", inherited=True)], deleted_files=["b"]),
            f"x\nFiles made:\n- a.csv (3 bytes, id: {FILE}, session_id: {SESSION})\nFiles deleted: b\n"
            f"[session_id: {SESSION}, exit code: 0]",
            False,
        ),
    ],
)
def test_a_run_is_told_in_words(answer: ExecAnswer, said: str, is_error: bool) -> None:
    result = results.executed(answer, [], links=False)
    assert (words(result), result.is_error) == (said, is_error)


def test_files_are_linked_where_the_protocol_has_links() -> None:
    answer = ran(files=[file("out/a b.csv", 7), file("in.csv", inherited=True)])
    linked = results.executed(answer, [], links=True).content[1:]
    assert linked == [
        types.ResourceLink(
            uri=f"codesession://{SESSION}/{FILE}/out/a%20b.csv", name="a b.csv", mime_type="text/csv", size=7
        )
    ]
    assert len(results.executed(answer, [], links=False).content) == 1


def test_images_of_bounded_size_and_number_are_shown() -> None:
    many = [file(f"{number}.png") for number in range(results.IMAGES + 1)]
    large, old = file("c.png", results.IMAGE_BYTES + 1), file("d.png", inherited=True)
    others = [file("a.svg"), file("b.txt"), large, old]
    shown = results.shown(ran(files=[*others, file("e.JPEG"), *many]))
    assert [one.name for one in shown] == ["e.JPEG", *(one.name for one in many[: results.IMAGES - 1])]
    image = results.image("e.JPEG", b"abc")
    assert (image.mime_type, base64.b64decode(image.data)) == ("image/jpeg", b"abc")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SandboxesBusy("no room", 7), "no room Try again in 7 seconds."),
        (SandboxesUnavailable("broken"), "broken Try again in 5 seconds."),
        (TooLarge("file", 9), "The file is over the limit of 9 bytes."),
        (not_found("file"), "There is no such file."),
        (RuntimeError("a secret"), "The request failed for a reason of the server's own."),
    ],
)
def test_a_refusal_is_told_in_words(error: Exception, said: str) -> None:
    result = results.failed(refusal(error))
    assert (words(result), result.is_error) == (said, True)


@pytest.mark.parametrize("name", ["a.csv", "out/a b.csv", "ä/€.txt", "a%2Fb", "?#"])
def test_a_uri_leads_back_to_its_file(name: str) -> None:
    assert results.parse_uri(results.uri(SESSION, FILE, name)) == (SESSION, FILE, name)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "file:///etc/passwd",
        f"codesession://{SESSION}",
        f"codesession://{SESSION}/{FILE}",
        f"codesession://../{FILE}/a",
        f"codesession://{SESSION}/../a",
        f"http://{SESSION}/{FILE}/a",
    ],
)
def test_other_uris_lead_nowhere(uri: str) -> None:
    assert results.parse_uri(uri) is None


def test_bytes_are_text_where_they_are_some() -> None:
    text = results.resource("u", "a", "ä".encode())
    assert isinstance(text, types.TextResourceContents)
    assert (text.text, text.mime_type) == ("ä", "text/plain")
    blob = results.resource("u", "a.png", b"\xff")
    assert isinstance(blob, types.BlobResourceContents)
    assert (base64.b64decode(blob.blob), blob.mime_type) == (b"\xff", "image/png")
