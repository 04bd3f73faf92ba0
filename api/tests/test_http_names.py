"""Files of every name, size and kind, from the upload through a run to the download."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest

pytestmark = pytest.mark.sandbox

# What a client sends, and what it is called in /mnt/data.
NAMES = [
    ("data.csv", "data.csv"),
    ("with space & 'quote'.txt", "with space & 'quote'.txt"),
    ("données-日本-😀.csv", "données-日本-😀.csv"),
    ("e\u0301.txt", "e\u0301.txt"),
    ("\u00e9.txt", "\u00e9.txt"),
    ("Twin.csv", "Twin.csv"),
    ("twin.csv", "twin.csv"),
    ("TWIN.CSV", "TWIN.CSV"),
    ("d/e/nested.txt", "d/e/nested.txt"),
    ("./f//g/./h.txt", "f/g/h.txt"),
    ("../../etc/passwd", "passwd"),
    ("/etc/shadow", "shadow"),
    ("a/../../b.txt", "b.txt"),
    ("back\\slash.txt", "back\\slash.txt"),
    ("nul\x00byte.txt", "nul_byte.txt"),
    ("tab\tand\x1bescape.txt", "tab_and_escape.txt"),
    ("x" * 300 + ".csv", "x" * 251 + ".csv"),
    ("ü" * 200 + ".csv", "ü" * 125 + ".csv"),
    ("日" * 100, "日" * 85),
    ("CON", "CON"),
    ("aux.txt", "aux.txt"),
    (".hidden", ".hidden"),
    ("...", "..."),
    ("-rf", "-rf"),
    ("~", "~"),
    ("$(touch x).sh", "$(touch x).sh"),
    ("Dockerfile", "Dockerfile"),
    ("archive.tar.zst", "archive.tar.zst"),
    ("odd.e\u0301xt\u3042", "odd.e\u0301xt\u3042"),
    ("%2e%2e%2fescaped", "%2e%2e%2fescaped"),
]
LIST = """
import json, os
found = {os.path.relpath(os.path.join(d, f), '.'): open(os.path.join(d, f)).read()
         for d, _, names in os.walk('.') for f in names}
print(json.dumps(found))
"""


def batch(server: Any, *files: tuple[str, bytes], **fields: str) -> list[dict[str, Any]]:
    """References to files that are uploaded in one request, under names that no form library would send."""
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value.encode())
        for name, value in fields.items()
    )
    for name, data in files:
        disposition = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        body += b"--b\r\n" + disposition.encode() + data + b"\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = server.client.post("/v1/upload/batch", headers=headers, content=body + b"--b--\r\n").json()
    assert (answer["message"], answer["failed"]) == ("success", 0)
    assert [file["filename"] for file in answer["files"]] == [name for name, _ in files]
    session = answer["storage_session_id"]
    return [
        {"id": file["fileId"], "storage_session_id": session, "name": file["filename"], "kind": "user"}
        for file in answer["files"]
    ]


def test_every_name_is_kept_or_made_safe(server: Any) -> None:
    plain = [(sent, kept) for sent, kept in NAMES if "\\" not in sent]
    refs = batch(server, *[(sent, kept.encode()) for sent, kept in plain])
    session = refs[0]["storage_session_id"]
    listed = server.client.get(f"/v1/files/{session}?detail=full").json()
    assert [entry["metadata"]["original-filename"] for entry in listed] == [kept for _, kept in plain]
    for ref, (_, kept) in zip(refs, plain, strict=True):
        response = server.client.get(f"/v1/download/{session}/{ref['id']}")
        assert response.text == kept
        assert re.fullmatch(r"attachment; filename=\"[^\"\\]*\"; filename\*=UTF-8''[!-~]*",
                            response.headers["content-disposition"])  # fmt: skip
    answer = server.exec(LIST, files=refs)
    assert answer["stderr"] == ""
    assert json.loads(answer["stdout"]) == {kept: kept for _, kept in plain}


def test_a_run_may_call_its_files_what_it_likes(server: Any) -> None:
    made = [kept for _, kept in NAMES]
    code = f"""
import os
for name in {made!r}:
    os.makedirs(os.path.dirname(name) or '.', exist_ok=True)
    open(name, 'w').write(name)
"""
    answer = server.exec(code)
    files = {file["name"]: file for file in answer["files"]}
    assert answer["stderr"] == ""
    assert set(files) == set(made)
    for name in made:
        assert server.download(files[name]).decode() == name


def test_files_of_one_name_in_one_upload(server: Any) -> None:
    """Each is a file of its own; where only one can be, it is the last."""
    refs = batch(server, ("same.csv", b"first"), ("same.csv", b"second"), ("same.csv", b"third"))
    session = refs[0]["storage_session_id"]
    assert len({ref["id"] for ref in refs}) == 3
    assert [server.download(ref) for ref in refs] == [b"first", b"second", b"third"]
    assert server.client.get(f"/v1/download/{session}/same.csv").content == b"third"
    assert server.exec("cat same.csv", "bash", files=refs)["stdout"] == "third"
    assert server.exec("cat same.csv", "bash", files=refs[:2])["stdout"] == "second"


@pytest.mark.parametrize("name", ["plain.csv", "d/données 日本.csv", "exactly_21_characters"])
def test_a_download_by_name(server: Any, name: str) -> None:
    answer = server.exec(f"import os; os.makedirs('d', exist_ok=True); open({name!r}, 'w').write('1')", "py")
    session = answer["session_id"]
    url = f"/v1/download/{session}/{name}"
    first = server.client.get(url)
    assert first.content == b"1"
    assert first.headers["content-length"] == "1"
    server.exec(f"open({name!r}, 'w').write('2')", session_id=session)
    assert server.client.get(url).content == b"2"
    server.exec(f"import os; os.remove({name!r})", session_id=session)
    assert server.client.get(url).status_code == 404
    assert server.client.get(f"/v1/download/{session}/other.csv").status_code == 404


@pytest.mark.parametrize("data", [b"", b"\x00", b"ab", bytes(range(256)) * 3])
def test_a_file_as_json(server: Any, data: bytes) -> None:
    import base64

    ref = server.upload("d/données.bin", data)
    url = f"/v1/file/{ref['storage_session_id']}/{ref['id']}/content"
    response = server.client.get(f"{url}?kind=user&id=u1")
    said = response.json()
    assert base64.b64decode(said["content"], validate=True) == data
    assert said["encoding"] == "base64"
    assert (said["name"], said["size"]) == ("d/données.bin", len(data))
    assert said["content_type"] == "application/octet-stream"
    assert (said["id"], said["storage_session_id"]) == (ref["id"], ref["storage_session_id"])
    assert response.headers["content-length"] == str(len(response.content))
    assert server.client.get(url.replace(ref["id"], "F" * 21)).status_code == 404


def test_a_file_too_big_for_json_says_how_big_it_may_be(server: Any) -> None:
    limit = 25 * 1024 * 1024
    for size, status in ((limit, 200), (limit + 1, 413)):
        ref = server.upload("big.bin", bytes(size))
        response = server.client.get(f"/v1/file/{ref['storage_session_id']}/{ref['id']}/content")
        assert response.status_code == status
    assert response.json() == {
        "error": "too_large",
        "message": f"The file is over the limit of {limit} bytes.",
    }


def test_empty_files_both_ways(server: Any) -> None:
    ref = server.upload("empty", b"")
    answer = server.exec("import os; print(os.path.getsize('empty')); open('made.txt', 'w')", files=[ref])
    assert answer["stdout"] == "0\n"
    made = next(file for file in answer["files"] if file["name"] == "made.txt")
    assert made["size"] == 0
    for file in (ref, made):
        response = server.client.get(f"/v1/download/{file['storage_session_id']}/{file['id']}")
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["content-length"] == "0"


def test_files_of_50_mib_both_ways(server: Any) -> None:
    """As large as code may write a file by default."""
    data = hashlib.shake_256(b"seed").digest(50 * 1024 * 1024)
    ref = server.upload("in.bin", data)
    code = """
import hashlib
data = open('in.bin', 'rb').read()
print(hashlib.sha256(data).hexdigest())
open('out.bin', 'wb').write(data[::-1])
"""
    answer = server.exec(code, files=[ref])
    assert answer["stdout"].strip() == hashlib.sha256(data).hexdigest()
    out = next(file for file in answer["files"] if file["name"] == "out.bin")
    assert out["size"] == len(data)
    assert hashlib.sha256(server.download(out)).digest() == hashlib.sha256(data[::-1]).digest()


def test_links_lead_nowhere(server: Any) -> None:
    """Neither out of the workspace nor within it: what a link points to is no output, and no input is written
    through one."""
    code = """
import os
os.symlink('/etc/passwd', 'passwd.txt')
os.symlink('/etc', 'etc')
os.symlink('/proc/self/environ', 'environ')
os.symlink('/mnt/data', 'self')
os.symlink('real.txt', 'alias.txt')
os.symlink('/tmp', 'elsewhere')
os.mkfifo('pipe')
open('real.txt', 'w').write('real')
os.link('real.txt', 'twin.txt')
"""
    answer = server.exec(code)
    assert {file["name"] for file in answer["files"]} == {"real.txt", "twin.txt"}
    session = answer["session_id"]
    assert {name.count(".") for name in server.client.get(f"/v1/files/{session}").json()} == {1}
    (through,) = batch(server, ("elsewhere/in.txt", b"x"))
    (over,) = batch(server, ("passwd.txt", b"mine"))
    code = "ls /tmp/in.txt; cat passwd.txt"
    after = server.exec(code, "bash", session_id=session, files=[through, over])
    assert "'elsewhere/in.txt' cannot be written at its path and was left out" in after["stderr"]
    assert "/tmp/in.txt" not in after["stdout"]
    assert after["stdout"] == "mine"
