"""§3.4, §3.5: what is uploaded, by clients of every age. Bodies are chunked, names raw UTF-8."""

from __future__ import annotations

from e2e.conformance import expect
from e2e.conformance.form import BOUNDARY, Form
from e2e.conformance.registry import requirement
from e2e.conformance.server import Json, Server

CSV = b"a,b\n1,2\n"


def _stored(server: Server, form: Form, path: str = "/upload") -> Json:
    answer: Json = expect.status(server.post_form(path, form), 200).json()
    expect.same(answer.get("message"), "success", "`message`")
    return answer


def _names(server: Server, stored: Json) -> list[str]:
    listing = expect.status(server.get(f"/files/{stored['session_id']}", detail="normalized"), 200).json()
    return [entry["name"] for entry in listing]


def _comes_back(server: Server, stored: Json, content: bytes) -> None:
    answer = server.get(f"/download/{stored['session_id']}/{stored['files'][0]['fileId']}")
    expect.that(expect.status(answer, 200).content == content, "the download differs")


@requirement("C-301", "§3.4", "upload of LibreChat up to 0.8.5: entity_id, then the file")
def upload_of_old(server: Server) -> None:
    stored = _stored(server, Form([("entity_id", "agent_abc")], [("my data.csv", CSV)]))
    _comes_back(server, stored, CSV)


@requirement("C-302", "§3.4", "upload of LibreChat up to 0.8.5 without entity_id")
def upload_of_old_without_entity(server: Server) -> None:
    _comes_back(server, _stored(server, Form([], [("a.csv", CSV)])), CSV)


@requirement("C-303", "§3.4", "upload since LibreChat 0.8.6: kind, id, version, then the file")
def upload_of_now(server: Server) -> None:
    fields = [("kind", "skill"), ("id", "s1"), ("version", "3")]
    _comes_back(server, _stored(server, Form(fields, [("a.csv", CSV)])), CSV)


@requirement("C-304", "§3.4", "the answer has message, both session ids, files[0].fileId and filename")
def upload_answer(server: Server) -> None:
    stored = _stored(server, Form([("kind", "user"), ("id", "u1")], [("a.csv", CSV)]))
    expect.same(stored["session_id"], stored["storage_session_id"], "`session_id`")
    expect.same([file["filename"] for file in stored["files"]], ["a.csv"], "`filename`")


@requirement("C-305", "§3.4", "names are raw UTF-8, and keep spaces and directories")
def upload_names(server: Server) -> None:
    for name in ("données-日本.csv", "it's (1) & 100%.csv", "skills/pdf/table.csv", "no-extension"):
        expect.same(_names(server, _stored(server, Form([], [(name, CSV)]))), [name], "the listed names")


@requirement("C-306", "§3.4", "a name that is absolute or has .. falls back to its base name")
def upload_names_that_leave(server: Server) -> None:
    for name in ("../../etc/cron.d/x", "/etc/cron.d/x", "a/../../x"):
        expect.same(_names(server, _stored(server, Form([], [(name, CSV)]))), ["x"], f"{name!r} as listed")


@requirement("C-307", "§3.4", "control characters of a name become _")
def upload_names_with_controls(server: Server) -> None:
    expect.same(
        _names(server, _stored(server, Form([], [("a\tb\x01c.csv", CSV)]))), ["a_b_c.csv"], "the names"
    )


@requirement("C-308", "§0.7", "unknown form fields are ignored, before the file and after it")
def upload_with_unknown_fields(server: Server) -> None:
    form = Form([("no_such_field", "x"), ("kind", "user"), ("id", "u1")], [("a.csv", CSV)])
    _comes_back(server, _stored(server, form), CSV)
    first, late = (b"".join(part.chunks()) for part in (form, Form([("late", "x")], [])))
    body = first[: first.rindex(f"--{BOUNDARY}--".encode())] + late
    expect.status(server.send("POST", "/upload", content=body, headers=form.headers), 200)


@requirement("C-309", "§3.4", "an empty file and one of 25 MB come back byte for byte")
def upload_sizes(server: Server) -> None:
    """25 MB is what LibreChat sends by default."""
    for content in (b"", bytes(range(256)) * (25 * 4096)):
        _comes_back(server, _stored(server, Form([], [("sized.bin", content)])), content)


@requirement("C-310", "§3.4", "a form without a file, or that is none, is 400 with JSON")
def upload_without_file(server: Server) -> None:
    for path in ("/upload", "/upload/batch"):
        expect.refusal(server.post_form(path, Form([("kind", "user")], [])), 400)
        expect.refusal(server.send("POST", path, json={"kind": "user"}), 400, 415, 422)


_SKILL = [("kind", "skill"), ("id", "64b7f00000000000000000aa"), ("version", "3")]


@requirement("C-321", "§3.5", "a batch echoes each filename as it was sent, and counts")
def batch(server: Server) -> None:
    names = ["skills/pdf/SKILL.md", "skills/pdf/scripts/run.py", "skills/pdf/été.md", "a", "a"]
    stored = _stored(server, Form(_SKILL, [(name, name.encode()) for name in names]), "/upload/batch")
    expect.same([file["filename"] for file in stored["files"]], names, "the filenames")
    expect.same({file["status"] for file in stored["files"]}, {"success"}, "the files' `status`")
    expect.same((stored["succeeded"], stored["failed"]), (5, 0), "(succeeded, failed)")
    expect.same(len({file["fileId"] for file in stored["files"]}), 5, "the number of different ids")


@requirement("C-322", "§3.5", "all files of a batch are in one session")
def batch_session(server: Server) -> None:
    names = ["skills/pdf/SKILL.md", "skills/pdf/scripts/run.py"]
    stored = _stored(server, Form(_SKILL, [(name, CSV) for name in names]), "/upload/batch")
    expect.same(stored["session_id"], stored["storage_session_id"], "`session_id`")
    expect.same(sorted(_names(server, stored)), names, "the session's files")


@requirement("C-323", "§3.5", "a batch takes 200 files")
def batch_of_200(server: Server) -> None:
    files = [(f"skills/pdf/{number}.txt", b"x") for number in range(200)]
    stored = _stored(server, Form(_SKILL, files), "/upload/batch")
    expect.same((stored["succeeded"], len(_names(server, stored))), (200, 200), "(succeeded, listed)")


@requirement("C-324", "§3.5", "read_only=true is told by the object's readOnly")
def batch_read_only(server: Server) -> None:
    for given, wanted in ([("read_only", "true")], True), ([], False):
        stored = _stored(server, Form([*_SKILL, *given], [("a.md", CSV)]), "/upload/batch")
        path = f"/sessions/{stored['session_id']}/objects/{stored['files'][0]['fileId']}"
        query = {"kind": "skill", "id": "64b7f00000000000000000aa", "version": "3"}
        expect.same(server.get(path, **query).json()["readOnly"], wanted, "`readOnly`")
