"""§3.6 to §3.9: what is stored is downloaded, listed, described and deleted."""

from __future__ import annotations

import base64
import datetime as dt
from urllib.parse import quote

import httpx

from e2e.conformance import expect
from e2e.conformance.form import Form
from e2e.conformance.registry import requirement
from e2e.conformance.rows.bases import UNKNOWN
from e2e.conformance.server import OWNER, Json, Server

NAME = "données-日本.csv"
CSV = b"a,b\n1,2\n"
SCOPE = {"kind": "user", "id": OWNER}


def _stored(server: Server) -> tuple[str, str]:
    file = server.upload(NAME, CSV)
    return file["storage_session_id"], file["id"]


def _listed(server: Server, session: str, **query: str) -> Json:
    listing = expect.status(server.get(f"/files/{session}", **query), 200).json()
    expect.same(len(listing), 1, f"the length of the listing {query}")
    entry: Json = listing[0]
    return entry


def _fresh(moment: str) -> None:
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(moment)
    expect.that(abs(age) < dt.timedelta(minutes=10), f"`lastModified` is {moment}, {age} ago")


@requirement("C-401", "§3.6", "a download by LibreChat up to 0.8.5, and since with kind and id")
def download(server: Server) -> None:
    session, file = _stored(server)
    for query in ({}, SCOPE):
        answer = expect.status(server.get(f"/download/{session}/{file}", **query), 200)
        expect.same(answer.content, CSV, f"the download with {query}")


@requirement("C-402", "§0.10", "a download is never compressed, and its Content-Length is right")
def download_is_plain(server: Server) -> None:
    session, file = _stored(server)
    accepting = {"Accept-Encoding": "gzip, deflate, br"}
    answer = server.send("GET", f"/download/{session}/{file}", headers=accepting)
    expect.same(answer.headers.get("content-encoding"), None, "Content-Encoding")
    expect.same(answer.headers.get("content-length"), str(len(CSV)), "Content-Length")


@requirement("C-403", "§0.10", "a download is an attachment with filename*=UTF-8'' and its Content-Type")
def download_headers(server: Server) -> None:
    session, file = _stored(server)
    headers = server.get(f"/download/{session}/{file}").headers
    disposition = headers.get("content-disposition", "")
    expect.that(disposition.startswith("attachment"), f"Content-Disposition is {disposition!r}")
    expect.within(f"filename*=UTF-8''{quote(NAME)}", disposition, "Content-Disposition")
    kind = headers.get("content-type", "")
    expect.that(kind.startswith("text/csv"), f"Content-Type is {kind!r}")


@requirement("C-404", "issue 4", "a Range is answered with 206 and those bytes")
def download_of_a_range(server: Server) -> None:
    session, file = _stored(server)
    answer = server.send("GET", f"/download/{session}/{file}", headers={"Range": "bytes=4-6"})
    if answer.status_code == 200:
        raise expect.NotOfferedError("the whole file is sent")
    expect.same(
        (expect.status(answer, 206).content, answer.headers["content-range"]), (b"1,2", "bytes 4-6/8"), "206"
    )


@requirement("C-405", "F3", "a download by file name")
def download_by_name(server: Server) -> None:
    session, _ = _stored(server)
    answer = expect.offered(server.get(f"/download/{session}/{quote(NAME)}"))
    expect.same(answer.content, CSV, "the download")


@requirement("C-406", "§3.6", "what is not there is 404 with JSON, and an id that is none 400 or 404")
def download_of_nothing(server: Server) -> None:
    session, _ = _stored(server)
    expect.refusal(server.get(f"/download/{session}/{UNKNOWN}"), 404)
    expect.refusal(server.get(f"/download/{UNKNOWN}/{UNKNOWN}"), 404)
    expect.refusal(server.get("/download/a/b"), 400, 404)
    expect.refusal(server.get("/files/not-an-id"), 400, 404)
    expect.refusal(server.send("DELETE", "/sessions/..%2Fetc"), 400, 404, 405)


@requirement("C-411", "§3.7", "detail=summary: name begins with <sid>/<fid>, lastModified is the upload's")
def listing_of_old(server: Server) -> None:
    session, file = _stored(server)
    entry = _listed(server, session, detail="summary")
    expect.that(entry["name"].startswith(f"{session}/{file}"), f"`name` is {entry['name']!r}")
    _fresh(entry["lastModified"])


@requirement("C-412", "§0.11", "detail=summary: fileId, for the liveness probe since September 2026")
def listing_for_liveness(server: Server) -> None:
    session, file = _stored(server)
    expect.same(_listed(server, session, detail="summary").get("fileId"), file, "`fileId`")


@requirement("C-413", "§3.7", "detail=full as agents up to 3.1.63 read it: name, metadata")
def listing_in_full(server: Server) -> None:
    session, file = _stored(server)
    entry = _listed(server, session, detail="full")
    expect.same(entry["name"].split("/")[1].split(".")[0], file, "the id in `name`")
    expect.same(entry["metadata"]["original-filename"], NAME, "`original-filename`")


@requirement("C-414", "§3.7", "detail=full with kind and id as agents since 3.1.77 read it")
def listing_in_full_of_an_owner(server: Server) -> None:
    session, file = _stored(server)
    entry = _listed(server, session, detail="full", **SCOPE)
    found = tuple(entry.get(key) for key in ("id", "storage_session_id", "session_id"))
    expect.same(found, (file, session, session), "(id, storage_session_id, session_id)")
    expect.same(entry["size"], len(CSV), "`size`")


@requirement("C-415", "§3.7", "detail=simple, and none, is a list of strings")
def listing_in_short(server: Server) -> None:
    session, file = _stored(server)
    for query in ({}, {"detail": "simple"}):
        listing = expect.status(server.get(f"/files/{session}", **query), 200).json()
        expect.that(isinstance(listing[0], str), f"with {query} an element is {listing[0]!r}")
        expect.that(listing[0].startswith(f"{session}/{file}"), f"with {query} it is {listing[0]!r}")


@requirement("C-416", "§3.7", "detail=normalized: id, name, storage_session_id, size, contentType")
def listing_normalized(server: Server) -> None:
    session, file = _stored(server)
    entry = _listed(server, session, detail="normalized")
    found = tuple(entry.get(key) for key in ("id", "name", "storage_session_id", "size", "contentType"))
    expect.same(found, (file, NAME, session, len(CSV), "text/csv"), "the element")
    _fresh(entry["lastModified"])


@requirement("C-417", "§3.7", "of an unknown session the listing is [] or 404")
def listing_of_nothing(server: Server) -> None:
    answer = server.get(f"/files/{UNKNOWN}", detail="summary")
    expect.that(answer.status_code == 404 or answer.json() == [], f"it is {answer.text!r}")


@requirement("C-421", "§3.8", "an object's lastModified, originalFilename, name, size, contentType, readOnly")
def described(server: Server) -> None:
    session, file = _stored(server)
    found = expect.status(server.get(f"/sessions/{session}/objects/{file}", **SCOPE), 200).json()
    _fresh(found["lastModified"])
    told = tuple(found.get(key) for key in ("originalFilename", "size", "contentType", "readOnly"))
    expect.same(told, (NAME, len(CSV), "text/csv", False), "the description")
    expect.same(found["name"].split("/")[0], session, "the session in `name`")


@requirement("C-422", "§3.8", "an unknown object is 404 with JSON")
def described_nothing(server: Server) -> None:
    expect.refusal(server.get(f"/sessions/{UNKNOWN}/objects/{UNKNOWN}", **SCOPE), 404)


def _deletes(server: Server, route: str) -> None:
    session, file = _stored(server)
    path = route.format(session=session, file=file)
    expect.status(server.send("DELETE", path, params=SCOPE), 200, 204)
    expect.status(server.get(f"/download/{session}/{file}"), 404)
    listing = server.get(f"/files/{session}", detail="summary")
    expect.that(listing.status_code == 404 or listing.json() == [], f"the listing is {listing.text!r}")
    expect.status(server.send("DELETE", path, params=SCOPE), 404)


@requirement("C-431", "§3.9", "DELETE /sessions/{sid}/objects/{fid}: gone, and a second time 404")
def delete_object(server: Server) -> None:
    _deletes(server, "/sessions/{session}/objects/{file}")


@requirement("C-432", "§3.9", "DELETE /files/{sid}/{fid}: gone, and a second time 404")
def delete_file(server: Server) -> None:
    _deletes(server, "/files/{session}/{file}")


@requirement("C-441", "F5", "DELETE /sessions/{sid}: the run's session and its files are gone")
def delete_session(server: Server) -> None:
    ran = server.fresh("echo x > made.txt")
    (file,) = ran["files"]
    session = ran["session_id"]
    expect.offered(server.send("DELETE", f"/sessions/{session}"))
    expect.status(server.get(f"/download/{session}/{file['id']}"), 404)
    expect.refusal(server.send("DELETE", f"/sessions/{session}"), 404)


@requirement("C-442", "F4", "GET /file/{sid}/{fid}/content: base64 JSON")
def content(server: Server) -> None:
    session, file = _stored(server)
    found = expect.offered(server.get(f"/file/{session}/{file}/content")).json()
    expect.same(base64.b64decode(found["content"]), CSV, "`content`")
    told = tuple(found.get(key) for key in ("encoding", "name", "size", "content_type"))
    expect.same(told, ("base64", NAME, len(CSV), "text/csv"), "(encoding, name, size, content_type)")


@requirement("C-443", "§3.10", "GET /health, below the base URL and bare, is 200 and needs no credentials")
def health(server: Server) -> None:
    for base in (server.base, server.root):
        answer = expect.offered(httpx.get(f"{base}/health", timeout=30, trust_env=False))
        expect.that(answer.json().get("status"), f"it is {answer.text!r}")


@requirement("C-444", "§3.7", "a session that a batch filled lists each of its files with its own id")
def listing_of_many(server: Server) -> None:
    form = Form(list(SCOPE.items()), [(f"{number}.txt", b"x") for number in range(3)])
    stored = server.post_form("/upload/batch", form).json()
    listing = server.get(f"/files/{stored['session_id']}", detail="summary").json()
    wanted = {file["fileId"] for file in stored["files"]}
    expect.same({entry.get("fileId") for entry in listing}, wanted, "the ids")
