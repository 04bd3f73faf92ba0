"""§7: requests as they were captured from the real clients, byte for byte, with this server's ids in them.

What the capture left out (`…`) is filled in as the client would. Credentials are this server's.
"""

from __future__ import annotations

import httpx

from e2e.conformance import expect
from e2e.conformance.form import BOUNDARY
from e2e.conformance.registry import requirement
from e2e.conformance.server import Json, Server

_USER = "64b7f0000000000000000001"
_AGENT = {"User-Agent": "LibreChat/1.0"}
_JSON = _AGENT | {"Content-Type": "application/json"}
_FORM = _AGENT | {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "User-Id": _USER}
_PROFILE = {"x-codeapi-expected-profile": "default"}
_FILE = (
    '{"id":"FFFFFFFFFFFFFFFFFFFFF","resource_id":"u1","storage_session_id":"SSSSSSSSSSSSSSSSSSSSS",'
    '"name":"data.csv","kind":"user"}'
)
_EXECUTE_CODE = (
    '{"lang":"py","code":"print(1)","args":["x"],"user_id":"64b7f0000000000000000001",'
    f'"files":[{_FILE}],"codeSessionKey":"execute_code"}}'
)
_BASH = f'{{"lang":"bash","code":"ls /mnt/data","codeSessionKey":"execute_code","files":[{_FILE}]}}'
_STATEFUL = (
    '{"lang":"bash","code":"pwd","args":["a b"],"codeSessionKey":"execute_code:stateful:v2:user:abc",'
    '"runtime_session_hint":"v2:user:abc"}'
)
_EMPTY_MANIFEST = (
    r'{"lang":"py","code":"async def __user_main__():\n    \"\"\"Auto-generated wrapper…\"\"\"\n'
    r'    print(1)\n\nif __name__ == \"__main__\":\n    import asyncio\n    asyncio.run(__user_main__())\n",'
    f'"timeout":15000,"session_id":"EEEEEEEEEEEEEEEEEEEEE","files":[{_FILE}]}}'
)
_CARRIED = (
    '{"lang":"bash","code":"cat a.csv in.csv","files":[{"id":"outA1________________",'
    '"resource_id":"outA1________________","name":"a.csv","storage_session_id":"stor1________________",'
    '"kind":"user"},{"id":"IIIIIIIIIIIIIIIIIIIII","resource_id":"64b7f0000000000000000001","name":"in.csv",'
    '"storage_session_id":"SSSSSSSSSSSSSSSSSSSSS","kind":"user"}]}'
)
_LEGACY = (
    '{"lang":"py","code":"print(1)","args":["x"],"user_id":"64b7f0000000000000000001","files":'
    '[{"id":"FFFFFFFFFFFFFFFFFFFFF","session_id":"SSSSSSSSSSSSSSSSSSSSS","name":"data.csv"}],'
    '"LIBRECHAT_CODE_API_KEY":"lc-key"}'
)
_HOST_READ = (
    r'{"lang":"bash","code":"cat '
    r"'/mnt/data/it'\\''s.txt'"
    r'","session_id":"EEEEEEEEEEEEEEEEEEEEE","files":[{"id":"F","name":"x"}]}'
)
_HOST_WRITE = (
    r"""{"lang":"bash","code":"python3 - <<'PY'\nimport base64, json, os\n"""
    r"""payload = \"eyJwYXRoIjogIi9tbnQvZGF0YS9uZXcvaC50eHQiLCAiY29udGVudCI6ICJoaSJ9\"\n"""
    r"""data = json.loads(base64.b64decode(payload))\npath = data['path']\n"""
    r"""content = data['content'].encode()\nos.makedirs(os.path.dirname(path), exist_ok=True)\n"""
    r"""with open(path, 'wb') as f:\n    f.write(content)\n"""
    r"""print(f\"WROTE {len(content)} bytes to {path}\")\nPY","session_id":"EEEEEEEEEEEEEEEEEEEEE"}"""
)


def _ids(server: Server) -> dict[str, str]:
    """This server's ids for those of the captures: of data.csv, made in the shared sandbox."""
    file = server.made("data.csv", "a,b\n")
    session = file["storage_session_id"]
    return {"F" * 21: file["id"], "S" * 21: session, "E" * 21: session}


def _post(server: Server, body: str, ids: dict[str, str], headers: dict[str, str] = _JSON) -> Json:
    for captured, ours in ids.items():
        body = body.replace(captured, ours)
    answer = server.send("POST", "/exec", content=body.encode(), headers=headers)
    ran: Json = expect.status(answer, 200).json()
    return ran


def _form(parts: list[tuple[str, str | None, str]]) -> bytes:
    """As form-data 4 puts it on the wire: `(disposition, content type, content)`."""
    body = ""
    for disposition, kind, content in parts:
        header = f"Content-Type: {kind}\r\n" if kind else ""
        body += f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n{header}\r\n{content}\r\n"
    return f"{body}--{BOUNDARY}--\r\n".encode()


def _upload(
    server: Server,
    parts: list[tuple[str, str | None, str]],
    path: str = "/upload",
    headers: dict[str, str] = _FORM,
) -> Json:
    """Chunked: what comes from an iterator has no length."""
    answer = server.send("POST", path, content=iter([_form(parts)]), headers=headers)
    stored: Json = expect.status(answer, 200).json()
    expect.same(stored["message"], "success", "`message`")
    return stored


@requirement("C-701", "§7", "captured: execute_code of 3.9.2")
def execute_code(server: Server) -> None:
    ran = _post(server, _EXECUTE_CODE, _ids(server), _JSON | _PROFILE)
    expect.same(ran["stdout"], "1\n", "stdout")


@requirement("C-702", "§7", "captured: bash_tool of 3.9.2")
def bash_tool(server: Server) -> None:
    expect.within("data.csv", _post(server, _BASH, _ids(server), _JSON | _PROFILE)["stdout"], "stdout")


@requirement("C-703", "§7", "captured: stateful bash_tool of 3.9.2")
def stateful_bash_tool(server: Server) -> None:
    """Without the header of the profile, which a server may refuse."""
    expect.same(_post(server, _STATEFUL, {})["stdout"], "/mnt/data\n", "stdout")


@requirement("C-704", "§7", "captured: a Python program of 3.9.2 whose tool manifest is empty")
def empty_manifest(server: Server) -> None:
    expect.same(_post(server, _EMPTY_MANIFEST, _ids(server))["stdout"], "1\n", "stdout")


@requirement("C-705", "§7", "captured: the second request of a conversation of 3.9.2")
def carried(server: Server) -> None:
    made, given = server.made("a.csv", "made"), server.upload("in.csv", b"given")
    ids = {
        "outA1" + "_" * 16: made["id"],
        "stor1" + "_" * 16: made["storage_session_id"],
        "I" * 21: given["id"],
        "S" * 21: given["storage_session_id"],
    }
    expect.same(_post(server, _CARRIED, ids)["stdout"], "madegiven", "stdout")


@requirement("C-711", "§7", "captured: execute_code of 2.4.85 to 3.1.63")
def legacy_execute_code(server: Server) -> None:
    ran = _post(server, _LEGACY, _ids(server))
    expect.same((ran["stdout"], ran["files"]), ("1\n", []), "(stdout, files)")


@requirement("C-712", "§7", "captured: the listing of 2.4.85 to 3.1.63")
def legacy_listing(server: Server) -> None:
    ids = _ids(server)
    listing = server.send("GET", f"/files/{ids['S' * 21]}?detail=full", headers=_AGENT).json()
    names = {entry["name"].split("/")[1].split(".")[0]: entry["metadata"] for entry in listing}
    expect.same(names.get(ids["F" * 21], {}).get("original-filename"), "data.csv", "the name of its id")


@requirement("C-713", "§7", "captured: upload and download of LibreChat 0.8.2 and 0.8.5")
def legacy_upload(server: Server) -> None:
    entity = ('name="entity_id"', None, "agent_abc")
    file = ('name="file"; filename="my data.csv"', "text/csv", "a,b\n1,2\n")
    for connection in ("keep-alive", "close"):
        stored = _upload(server, [entity, file], headers=_FORM | {"Connection": connection})
        path = f"/download/{stored['session_id']}/{stored['files'][0]['fileId']}"
        answer = server.send("GET", path, headers=_AGENT)
        expect.same(expect.status(answer, 200).content, b"a,b\n1,2\n", "the download")


@requirement("C-721", "§7", "captured: a skill's batch of LibreChat since 0.8.6, then its object")
def skill_batch(server: Server) -> None:
    owner = "64b7f00000000000000000aa"
    fields = [("kind", "skill"), ("id", owner), ("version", "3"), ("read_only", "true")]
    parts: list[tuple[str, str | None, str]] = [(f'name="{name}"', None, value) for name, value in fields]
    names = ["skills/pdf/SKILL.md", "skills/pdf/scripts/run.py"]
    for name, kind in zip(names, ("text/markdown", "application/octet-stream"), strict=True):
        parts.append((f'name="file"; filename="{name}"', kind, "#"))
    stored = _upload(server, parts, "/upload/batch", _FORM | _PROFILE)
    expect.same([file["filename"] for file in stored["files"]], names, "the filenames")
    for file in stored["files"]:
        path = f"/sessions/{stored['storage_session_id']}/objects/{file['fileId']}"
        answer = server.send("GET", f"{path}?kind=skill&id={owner}&version=3", headers=_AGENT)
        expect.that(expect.status(answer, 200).json().get("lastModified"), "there is no `lastModified`")


@requirement("C-722", "§7", "captured: upload, download and both deletes of LibreChat since 0.8.6")
def agent_upload(server: Server) -> None:
    file = ('name="file"; filename="données-日本.csv"', "text/csv", "a,b\n")
    stored = _upload(server, [('name="kind"', None, "agent"), ('name="id"', None, "agent_abc"), file])
    session, identity = stored["storage_session_id"], stored["files"][0]["fileId"]
    query = "?kind=agent&id=agent_abc"

    def ask(method: str, path: str) -> httpx.Response:
        return server.send(method, f"{path}{query}", headers=_AGENT)

    expect.same(ask("GET", f"/download/{session}/{identity}").content, b"a,b\n", "the download")
    expect.status(ask("DELETE", f"/sessions/{session}/objects/{identity}"), 200, 204, 404, 405)
    expect.status(ask("DELETE", f"/files/{session}/{identity}"), 200, 204, 404)
    expect.status(ask("GET", f"/download/{session}/{identity}"), 404)


@requirement("C-723", "§7", "captured: the host's read of a file, with a reference that means nothing")
def host_read(server: Server) -> None:
    server.made("it's.txt", "read")
    expect.same(_post(server, _HOST_READ, _ids(server))["stdout"], "read", "stdout")


@requirement("C-724", "§7", "captured: the host's write of a file")
def host_write(server: Server) -> None:
    ran = _post(server, _HOST_WRITE, _ids(server))
    expect.same(ran["stdout"], "WROTE 2 bytes to /mnt/data/new/h.txt\n", "stdout")
    expect.within("new/h.txt", [file["name"] for file in ran["files"]], "the outputs")
