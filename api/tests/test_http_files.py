"""Uploads, listings, downloads and deletes over HTTP, byte for byte as clients send and read them."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

ID = re.compile(r"^[A-Za-z0-9_-]{21}$")

pytestmark = pytest.mark.sandbox


def chunked(body: bytes) -> Iterator[bytes]:
    """Without a Content-Length, as LibreChat sends it."""
    for start in range(0, len(body), 50_000):
        yield body[start : start + 50_000]


def form(*fields: tuple[str, bytes]) -> tuple[dict[str, str], bytes]:
    """The headers and the bytes of a form of the npm package form-data."""
    line, body = b"----------------------------d436d4", b""
    for parameters, value in fields:
        disposition = f"Content-Disposition: form-data; {parameters}\r\n"
        body += b"--" + line + b"\r\n" + disposition.encode()
        if "filename" in parameters:
            body += b"Content-Type: application/octet-stream\r\n"
        body += b"\r\n" + value + b"\r\n"
    return {"Content-Type": f"multipart/form-data; boundary={line.decode()}"}, body + b"--" + line + b"--\r\n"


def post(server: Any, path: str, *fields: tuple[str, bytes]) -> Any:
    headers, body = form(*fields)
    return server.client.post(path, headers=headers, content=chunked(body))


@pytest.mark.parametrize(
    "before", [[("entity_id", b"agent_abc")], [("kind", b"user"), ("id", b"u1"), ("version", b"3")], []]
)
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("my data.csv", "my data.csv"),
        ("données-日本.csv", "données-日本.csv"),
        ("skills/pdf/SKILL.md", "skills/pdf/SKILL.md"),
        ("../../etc/passwd", "passwd"),
        ("a\tb.txt", "a_b.txt"),
    ],
)
def test_an_upload_in_every_dialect(server: Any, before: list[Any], sent: str, kept: str) -> None:
    fields = [(f'name="{name}"', value) for name, value in before]
    response = post(server, "/v1/upload", *fields, (f'name="file"; filename="{sent}"', b"a,b\r\n1,2\r\n"))
    answer = response.json()
    session = answer["session_id"]
    assert response.status_code == 200
    assert answer["message"] == "success"
    assert session == answer["storage_session_id"]
    (file,) = answer["files"]
    assert file["filename"] == sent
    assert ID.match(session)
    assert ID.match(file["fileId"])
    described = server.client.get(f"/v1/sessions/{session}/objects/{file['fileId']}?kind=user&id=u1").json()
    assert described["originalFilename"] == kept
    got = server.client.get(f"/v1/download/{session}/{file['fileId']}")
    assert got.content == b"a,b\r\n1,2\r\n"


def test_fields_may_come_after_the_file(server: Any) -> None:
    fields = [('name="file"; filename="a.csv"', b"x"), ('name="kind"', b"user"), ('name="id"', b"u1")]
    assert post(server, "/upload", *fields).json()["message"] == "success"


def test_a_batch_stays_together_and_keeps_its_paths(server: Any) -> None:
    paths = ["skills/pdf/SKILL.md", "skills/pdf/scripts/run.py", "skills/pdf/données.txt"]
    files = [(f'name="file"; filename="{path}"', path.encode()) for path in paths]
    head = [
        ('name="kind"', b"skill"),
        ('name="id"', b"s1"),
        ('name="version"', b"3"),
        ('name="read_only"', b"true"),
    ]
    answer = post(server, "/v1/upload/batch", *head, *files).json()
    assert (answer["message"], answer["succeeded"], answer["failed"]) == ("success", 3, 0)
    assert [(file["status"], file["filename"]) for file in answer["files"]] == [("success", p) for p in paths]
    session = answer["storage_session_id"]
    for file in answer["files"]:
        described = server.client.get(f"/sessions/{session}/objects/{file['fileId']}").json()
        assert described["readOnly"] is True
        assert server.client.get(f"/download/{session}/{file['fileId']}").text == file["filename"]
    refs = [
        {"id": f["fileId"], "storage_session_id": session, "name": f["filename"], "kind": "skill"}
        for f in answer["files"]
    ]
    run = server.exec("cat skills/pdf/scripts/run.py; stat -c %a skills/pdf/SKILL.md", "bash", files=refs)
    assert run["stdout"] == "skills/pdf/scripts/run.py444\n"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/json"}, b"{}", 415),
        ({}, b"", 415),
        (*form(), 400),
        (*form(('name="kind"', b"user")), 400),
        (form(('name="f"; filename="a"', b"x"))[0], form(('name="f"; filename="a"', b"x"))[1][:-10], 400),
        (*form(('name="kind"', bytes(5000)), ('name="f"; filename="a"', b"x")), 400),
    ],
)
def test_a_broken_upload_is_refused_as_json(server: Any, headers: Any, body: bytes, status: int) -> None:
    for path in ("/v1/upload", "/v1/upload/batch"):
        response = server.client.post(path, headers=headers, content=body)
        assert response.status_code == status
        assert isinstance(response.json()["error"], str)


def test_a_big_upload_and_download_are_the_same_bytes(server: Any) -> None:
    data = hashlib.shake_256(b"seed").digest(20_000_001)
    answer = post(server, "/upload", ('name="file"; filename="big.bin"', data)).json()
    session, file_id = answer["session_id"], answer["files"][0]["fileId"]
    response = server.client.get(f"/download/{session}/{file_id}")
    assert response.content == data
    assert int(response.headers["content-length"]) == len(data)
    ref = {"id": file_id, "storage_session_id": session, "name": "big.bin"}
    run = server.exec(
        "import hashlib; print(hashlib.sha256(open('big.bin', 'rb').read()).hexdigest())", files=[ref]
    )
    assert run["stdout"].strip() == hashlib.sha256(data).hexdigest()


def test_a_download_says_what_it_is(server: Any) -> None:
    ref = server.upload("d/données 日本.csv")
    response = server.client.get(
        f"/v1/download/{ref['storage_session_id']}/{ref['id']}?kind=user&id=u1",
        headers={"Accept-Encoding": "gzip, br"},
    )
    headers = response.headers
    assert headers["content-type"] == "text/csv"
    assert headers["content-disposition"] == (
        "attachment; filename=\"donn_es __.csv\"; filename*=UTF-8''donn%C3%A9es%20%E6%97%A5%E6%9C%AC.csv"
    )
    assert "content-encoding" not in headers
    assert headers["content-length"] == "8"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["etag"]


@pytest.mark.parametrize(
    ("asked", "status", "content", "part"),
    [
        ("bytes=0-1", 206, b"a,", "bytes 0-1/8"),
        ("bytes=4-", 206, b"1,2\n", "bytes 4-7/8"),
        ("bytes=-3", 206, b",2\n", "bytes 5-7/8"),
        ("bytes=6-100", 206, b"2\n", "bytes 6-7/8"),
        ("bytes=0-", 200, b"a,b\n1,2\n", None),
        ("bytes=-", 200, b"a,b\n1,2\n", None),
        ("bytes=0-1,3-4", 200, b"a,b\n1,2\n", None),
        ("lines=0-1", 200, b"a,b\n1,2\n", None),
        ("bytes=" + "9" * 5000 + "-", 200, b"a,b\n1,2\n", None),
        ("bytes=8-", 416, None, "bytes */8"),
        ("bytes=5-2", 416, None, "bytes */8"),
        ("bytes=-0", 416, None, "bytes */8"),
    ],
)
def test_ranges(server: Any, asked: str, status: int, content: bytes | None, part: str | None) -> None:
    ref = server.upload("range.csv")
    url = f"/download/{ref['storage_session_id']}/{ref['id']}"
    response = server.client.get(url, headers={"Range": asked})
    assert response.status_code == status
    assert response.headers.get("content-range") == part
    if content is not None:
        assert response.content == content
        assert response.headers["content-length"] == str(len(content))
    head = server.client.head(url, headers={"Range": asked})
    assert (head.status_code, head.content) == (status, b"")
    for name in ("content-range", "content-length", "content-type", "etag", "connection"):
        assert head.headers.get(name) == response.headers.get(name)


def test_what_a_client_has_already_is_not_sent_again(server: Any) -> None:
    ref = server.upload("range.csv")
    url = f"/download/{ref['storage_session_id']}/{ref['id']}"
    first = server.client.get(url).headers

    def asked(**headers: str) -> tuple[int, bytes]:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        response = server.client.get(url, headers=given)
        return response.status_code, response.content

    for tags in (first["etag"], f'"x", W/{first["etag"]}', "*"):
        assert asked(If_None_Match=tags) == (304, b"")
    assert asked(If_None_Match='"x"') == (200, b"a,b\n1,2\n")
    for same in (first["etag"], first["last-modified"]):
        assert asked(If_Range=same, Range="bytes=0-1") == (206, b"a,")
    for other in ('"x"', f"W/{first['etag']}", "Sat, 01 Jan 2000 00:00:00 GMT"):
        assert asked(If_Range=other, Range="bytes=0-1") == (200, b"a,b\n1,2\n")
        assert asked(If_Range=other, Range="bytes=99-") == (200, b"a,b\n1,2\n")


def test_every_reader_of_listings_finds_its_field(server: Any) -> None:
    ref = server.upload("d/in.csv")
    session, file_id = ref["storage_session_id"], ref["id"]

    def listing(detail: str) -> Any:
        return server.client.get(f"/v1/files/{session}{detail}").json()

    for detail in ("?detail=summary", "?detail=full", "?detail=full&kind=user&id=u1&version=1"):
        (entry,) = listing(detail)
        assert entry["name"].startswith(f"{session}/{file_id}")
        assert entry["name"].split("/")[1].split(".")[0] == file_id
        assert entry["id"] == entry["fileId"] == file_id
        assert entry["storage_session_id"] == entry["session_id"] == session
        assert entry["metadata"]["original-filename"] == "d/in.csv"
        assert entry["contentType"] == entry["metadata"]["content-type"] == "text/csv"
        assert entry["size"] == 8
        age = datetime.now(UTC) - datetime.fromisoformat(entry["lastModified"])
        assert abs(age) < timedelta(seconds=30)
    assert listing("") == listing("?detail=simple") == [f"{session}/{file_id}.csv"]
    (entry,) = listing("?detail=normalized")
    expected = {"id": file_id, "name": "d/in.csv", "storage_session_id": session, "size": 8}
    assert expected.items() <= entry.items()
    assert server.client.get(f"/v1/files/{session}?detail=odd").status_code == 400


def test_one_object_is_described(server: Any) -> None:
    ref = server.upload("in.csv")
    url = f"/v1/sessions/{ref['storage_session_id']}/objects/{ref['id']}?kind=user&id=u1"
    described = server.client.get(url).json()
    assert described["originalFilename"] == "in.csv"
    assert described["size"] == 8
    assert described["contentType"] == "text/csv"
    assert described["readOnly"] is False
    assert described["etag"]
    assert datetime.fromisoformat(described["lastModified"]).tzinfo is not None


@pytest.mark.parametrize("form_of_delete", ["/v1/sessions/{}/objects/{}?kind=user&id=u1", "/v1/files/{}/{}"])
def test_a_deleted_file_is_gone(server: Any, form_of_delete: str) -> None:
    ref = server.upload("in.csv")
    ids = (ref["storage_session_id"], ref["id"])
    assert server.client.delete(form_of_delete.format(*ids)).status_code == 200
    assert server.client.delete(form_of_delete.format(*ids)).status_code == 404
    assert server.client.get("/download/{}/{}".format(*ids)).status_code == 404
    assert server.client.get(f"/files/{ids[0]}").json() == []


def test_a_deleted_session_takes_its_sandbox_and_its_files(server: Any) -> None:
    answer = server.exec("open('a.txt', 'w').write('x')")
    session = answer["session_id"]
    assert server.client.delete(f"/v1/sessions/{session}").status_code == 200
    assert server.client.get(f"/v1/files/{session}").json() == []
    assert server.client.delete(f"/v1/sessions/{session}").status_code == 404
    after = server.exec("import os; print(os.listdir('.'))", session_id=session)
    assert after["session_id"] != session
    assert after["stdout"] == "[]\n"


@pytest.mark.parametrize(
    "path",
    [
        "/download/{}/{}",
        "/sessions/{}/objects/{}",
        "/download/short/{1}",
        "/download/{0}/x",
        "/download/{0}/..%2f{1}",
    ],
)
def test_what_is_not_there_is_404_as_json(server: Any, path: str) -> None:
    response = server.client.get(path.format("S" * 21, "F" * 21))
    assert response.status_code == 404
    assert response.json()["error"] == "not_found"


def test_an_unknown_session_has_no_files(server: Any) -> None:
    assert server.client.get(f"/v1/files/{'S' * 21}?detail=full").json() == []


def test_an_upload_that_breaks_off_stores_nothing(server: Any) -> None:
    """The sender goes away in the middle of its file."""
    headers, body = form(('name="file"; filename="half.bin"', bytes(300_000)))
    host, port = server.url.removeprefix("http://").split(":")
    before = server.log.read_text().count("POST /upload 499")
    with socket.create_connection((host, int(port))) as client:
        head = f"POST /upload HTTP/1.1\r\nHost: [::1]\r\nContent-Type: {headers['Content-Type']}\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:200_000])
    server.wait_for_log("POST /upload 499", before + 1)


def test_responses_that_are_no_exec_close_their_connection(server: Any) -> None:
    ref = server.upload("a.csv")
    session = ref["storage_session_id"]
    for path in (f"/files/{session}", f"/download/{session}/{ref['id']}", "/health", "/none"):
        assert server.client.get(path).headers["connection"] == "close"
    assert "connection" not in server.client.post("/exec", json={"lang": "py", "code": ""}).headers
