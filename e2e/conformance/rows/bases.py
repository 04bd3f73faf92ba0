"""§0: where the routes are, what ids look like, both dialects in every answer."""

from __future__ import annotations

import re

import httpx

from e2e.conformance import expect
from e2e.conformance.form import Form
from e2e.conformance.registry import requirement
from e2e.conformance.server import Server

UNKNOWN = "A" * 21
_ID = re.compile(r"[A-Za-z0-9_-]{21}")


def _prints(server: Server, url: str) -> None:
    request = {"lang": "bash", "code": "echo ran", "files": [server.shared]}
    answer = expect.status(server.send("POST", url, json=request), 200)
    expect.same(answer.json()["stdout"], "ran\n", f"stdout of {url}")


@requirement("C-001", "§0.1", "/exec below the base URL")
def exec_below_base(server: Server) -> None:
    _prints(server, f"{server.base}/exec")


@requirement("C-002", "§0.1", "//exec, of a base URL that ends with a slash")
def exec_after_a_slash(server: Server) -> None:
    _prints(server, f"{server.base}//exec")


@requirement("C-003", "§0.1", "/exec and //exec bare, without /v1")
def exec_bare(server: Server) -> None:
    _prints(server, f"{server.root}/exec")
    _prints(server, f"{server.root}//exec")


@requirement("C-004", "§0.1", "files are listed and downloaded below the base URL, bare, and after a slash")
def files_under_every_base(server: Server) -> None:
    stored = server.upload("a.csv", b"1")
    session, file = stored["storage_session_id"], stored["id"]
    for base in (server.base, server.root, f"{server.base}/", f"{server.root}/"):
        listed = expect.status(server.send("GET", f"{base}/files/{session}"), 200).json()
        expect.that(listed and str(listed[0]).startswith(f"{session}/{file}"), f"{base}/files gives {listed}")
        expect.same(server.send("GET", f"{base}/download/{session}/{file}").content, b"1", "the download")


@requirement("C-005", "§0.2", "session and file ids are 21 characters of A-Z a-z 0-9 _ -")
def ids_have_21_characters(server: Server) -> None:
    made, stored = server.made("ids.txt", "x"), server.upload("a.csv", b"1")
    for each in (made, stored):
        for field in ("id", "storage_session_id"):
            expect.that(_ID.fullmatch(each[field]), f"`{field}` is {each[field]!r}")


@requirement("C-006", "§0.3", "a run, its files and an upload carry session_id and storage_session_id alike")
def both_dialects(server: Server) -> None:
    ran = server.run("echo x > both.txt")
    (file,) = [each for each in ran["files"] if each["name"] == "both.txt"]
    stored = server.post_form("/upload", Form([], [("a.csv", b"1")])).json()
    for what, answer in (("the run's file", file), ("the upload", stored)):
        expect.same(answer.get("session_id"), answer.get("storage_session_id"), f"`session_id` of {what}")
        expect.that(answer.get("session_id"), f"{what} names no session")


@requirement("C-007", "§0.4", "a run's session_id is the storage_session_id of its new files")
def outputs_are_in_the_runs_session(server: Server) -> None:
    ran = server.run("echo x > here.txt")
    (file,) = [each for each in ran["files"] if each["name"] == "here.txt"]
    expect.same(file["storage_session_id"], ran["session_id"], "`storage_session_id`")


@requirement("C-008", "§0.9", "Connection: close on every answer but that of a run")
def connections_are_closed(server: Server) -> None:
    stored = server.upload("a.csv", b"1")
    session, file = stored["storage_session_id"], stored["id"]
    answers = [
        server.post_form("/upload", Form([], [("a.csv", b"1")])),
        server.post_form("/upload/batch", Form([], [("a.csv", b"1")])),
        server.get(f"/files/{session}", detail="summary"),
        server.get(f"/files/{UNKNOWN}", detail="summary"),
        server.get(f"/sessions/{session}/objects/{file}"),
        server.get(f"/download/{session}/{file}"),
        server.get(f"/download/{UNKNOWN}/{UNKNOWN}"),
        server.send("DELETE", f"/sessions/{session}/objects/{file}"),
    ]
    for answer in answers:
        request = answer.request
        what = f"Connection of {request.method} {request.url.path}"
        expect.same(answer.headers.get("connection", "").lower(), "close", what)


@requirement("C-010", "§2", "without the credentials, and with wrong ones, 401 or 403 with JSON", keyed=True)
def strangers_are_refused(server: Server) -> None:
    request = {"lang": "py", "code": "print(1)"}
    for shown in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}):
        with httpx.Client(trust_env=False, timeout=30) as stranger:
            expect.refusal(stranger.post(f"{server.base}/exec", json=request, headers=shown), 401, 403)
            expect.refusal(stranger.get(f"{server.base}/files/{UNKNOWN}", headers=shown), 401, 403)
