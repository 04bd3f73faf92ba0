"""What is stored: listed, described, downloaded and deleted, for the readers of every version."""

from __future__ import annotations

import datetime as dt

import httpx
import pytest

from e2e.clients.librechat import Json, LibreChat

NAME = "données-日本.csv"
CSV = b"a,b\n1,2\n"


@pytest.fixture
def file(client: LibreChat) -> Json:
    return client.upload(NAME, CSV)


def session_of(file: Json) -> str:
    session: str = file.get("storage_session_id") or file["session_id"]
    return session


def age(moment: str) -> dt.timedelta:
    return dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(moment)


def test_freshness_as_librechat_0_8_5_reads_it(client: LibreChat, file: Json) -> None:
    session = session_of(file)
    listing = client.get(f"/files/{session}", detail="summary").json()
    found = next(entry for entry in listing if entry["name"].startswith(f"{session}/{file['id']}"))
    assert age(found["lastModified"]) < dt.timedelta(minutes=5)


def test_liveness_as_librechat_reads_it_since_september_2026(client: LibreChat, file: Json) -> None:
    listing = client.get(f"/files/{session_of(file)}", detail="summary").json()
    assert file["id"] in [entry["fileId"] for entry in listing]


def test_the_full_listing_as_agents_read_it(client: LibreChat, file: Json) -> None:
    session = session_of(file)
    (entry,) = client.get(f"/files/{session}", detail="full", **client.scope).json()
    assert entry["name"].split("/")[1].split(".")[0] == entry["id"] == file["id"]
    assert entry["metadata"]["original-filename"] == NAME
    assert entry["storage_session_id"] == entry["session_id"] == session
    assert entry["size"] == len(CSV)


def test_the_short_listings(client: LibreChat, file: Json) -> None:
    session = session_of(file)
    for query in ({}, {"detail": "simple"}):
        (name,) = client.get(f"/files/{session}", **query).json()
        assert name.startswith(f"{session}/{file['id']}")
    (entry,) = client.get(f"/files/{session}", detail="normalized").json()
    assert entry["id"] == file["id"]
    assert entry["name"] == NAME
    assert entry["size"] == len(CSV)


def test_an_object_as_librechat_0_8_6_describes_it(client: LibreChat, file: Json) -> None:
    found = client.get(f"/sessions/{session_of(file)}/objects/{file['id']}", **client.scope).json()
    assert found["originalFilename"] == NAME
    assert found["size"] == len(CSV)
    assert age(found["lastModified"]) < dt.timedelta(minutes=5)


def test_a_runs_session_lists_what_it_made_and_was_given(client: LibreChat, file: Json) -> None:
    made = client.bash("echo x > made.txt", files=[file])
    session = made.artifact["session_id"]
    listing = client.get(f"/files/{session}", detail="full").json()
    by_name = {entry["metadata"]["original-filename"]: entry["id"] for entry in listing}
    assert by_name == {"made.txt": made.file("made.txt")["id"], NAME: file["id"]}
    # Old clients overwrite an input's session with the run's.
    assert client.get(f"/download/{session}/{file['id']}").content == CSV


def test_a_download_can_be_passed_on_to_a_browser(client: LibreChat, file: Json) -> None:
    reply = client.get(f"/download/{session_of(file)}/{file['id']}", **client.scope)
    assert reply.content == CSV
    assert reply.headers["content-length"] == str(len(CSV))
    assert "content-encoding" not in reply.headers
    assert reply.headers["content-type"].startswith("text/csv")
    disposition = reply.headers["content-disposition"]
    assert disposition.startswith("attachment")
    assert "filename*=UTF-8''donn%C3%A9es-%E6%97%A5%E6%9C%AC.csv" in disposition


@pytest.mark.parametrize("route", ["/sessions/{session}/objects/{id}", "/files/{session}/{id}"])
def test_a_deleted_file_is_gone(client: LibreChat, file: Json, route: str) -> None:
    session = session_of(file)
    path = route.format(session=session, id=file["id"])
    assert client.delete(path, **client.scope).status == 200
    assert client.get(f"/download/{session}/{file['id']}").status == 404
    assert client.get(f"/files/{session}", detail="summary").json() == []
    assert client.delete(path).status == 404


def test_a_deleted_session_is_gone(client: LibreChat) -> None:
    made = client.bash("echo x > made.txt")
    session = made.artifact["session_id"]
    assert client.delete(f"/sessions/{session}").status == 200
    assert client.download(made, "made.txt").status == 404
    assert client.delete(f"/sessions/{session}").status == 404


def test_of_an_unknown_session_nothing_is_told(http: httpx.Client) -> None:
    unknown = "a" * 21
    assert http.get(f"/v1/files/{unknown}").json() == []
    for path in (f"download/{unknown}/{unknown}", f"sessions/{unknown}/objects/{unknown}"):
        answer = http.get(f"/v1/{path}")
        assert answer.status_code == 404
        assert answer.json()["error"]


def test_a_large_file_comes_back_as_it_went(http: httpx.Client) -> None:
    """25 MB is what LibreChat sends by default."""
    content = bytes(range(256)) * (25 * 4096)
    stored = http.post("/v1/upload", files={"file": ("large.bin", content)}).json()
    path = f"/v1/download/{stored['session_id']}/{stored['files'][0]['fileId']}"
    assert http.get(path).content == content
