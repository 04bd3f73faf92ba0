"""`/exec` over HTTP against the embedded default, as LibreChat's clients of all ages use it."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import Any

import pytest

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cf50"
    "0f0003860180e2e1dd8d0000000049454e44ae426082"
)
ID = re.compile(r"^[A-Za-z0-9_-]{21}$")

pytestmark = pytest.mark.sandbox


def named(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {file["name"]: file for file in answer["files"]}


def ref(file: dict[str, Any]) -> dict[str, str]:
    """How a new client carries an output of one call to the next."""
    return {
        "id": file["id"],
        "resource_id": file["id"],
        "storage_session_id": file["storage_session_id"],
        "name": file["name"],
        "kind": "user",
    }


@pytest.mark.parametrize(
    ("lang", "code"), [("py", "print(40 + 2)"), ("bash", "echo 42"), ("bash", "python3 -c 'print(42)'")]
)
def test_a_program_is_answered(server: Any, lang: str, code: str) -> None:
    answer = server.exec(code, lang)
    assert (answer["stdout"], answer["stderr"]) == ("42\n", "")
    assert (answer["exit_code"], answer["code"]) == (0, 0)
    assert answer["files"] == answer["deleted_files"] == []
    assert "status" not in answer
    assert ID.match(answer["session_id"])


def test_arguments_reach_the_program(server: Any) -> None:
    assert server.exec("import sys; print(sys.argv[1:])", args=["a b", "ü"])["stdout"] == "['a b', 'ü']\n"
    assert server.exec('echo "$2"', "bash", args=["a", "b c"])["stdout"] == "b c\n"


@pytest.mark.parametrize(
    ("code", "stderr", "fields"),
    [
        ("1/0", "ZeroDivisionError: division by zero\n", {"exit_code": 1, "status": "RE"}),
        ("raise SystemExit(7)", "The program exited with code 7.\n", {"exit_code": 7, "code": 7}),
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV", {"status": "SG", "signal": "SIGSEGV"}),
        ("print(", "SyntaxError", {"exit_code": 1}),
        ("open('none.csv')", "No such file or directory: 'none.csv'", {"exit_code": 1}),
        ("print('x' * 3_000_000)", "Output limit exceeded", {"status": "OL"}),
    ],
)
def test_what_the_code_did_wrong_is_told_and_is_no_failure(
    server: Any, code: str, stderr: str, fields: dict[str, Any]
) -> None:
    answer = server.exec(code)
    assert stderr in answer["stderr"]
    assert fields.items() <= answer.items()


def test_a_run_over_its_time_is_stopped_and_told(server: Any) -> None:
    answer = server.exec("print('begun', flush=True)\nwhile True: pass", timeout=1000)
    assert answer["stdout"] == "begun\n"
    assert answer["status"] == "TO"
    assert "Time limit exceeded: the program was stopped after 1 seconds" in answer["stderr"]


def test_an_unsupported_language_is_told(server: Any) -> None:
    answer = server.exec("fn main() {}", "rs")
    assert "Unsupported language 'rs'; this sandbox has py, bash." in answer["stderr"]


def test_an_upload_is_there_and_what_is_made_comes_back(server: Any) -> None:
    data = server.upload("my data.csv")
    code = f"print(open('my data.csv').read()); open('plot.png', 'wb').write({PNG!r})"
    answer = server.exec(code, files=[data])
    assert answer["stdout"] == "a,b\n1,2\n\n"
    files = named(answer)
    assert set(files) == {"plot.png", "my data.csv"}
    plot = files["plot.png"]
    assert plot["storage_session_id"] == plot["session_id"] == answer["session_id"]
    assert plot["size"] == len(PNG)
    assert "inherited" not in plot
    assert server.download(plot) == PNG
    assert files["my data.csv"] | {"inherited": True} == files["my data.csv"]
    assert {**files["my data.csv"], **data} == files["my data.csv"]


def test_the_next_call_sees_the_files_of_this_one(server: Any) -> None:
    first = server.exec("open('a.txt', 'w').write('one'); open('b.txt', 'w').write('b')")
    second = server.exec("print(open('a.txt').read())", files=[ref(f) for f in first["files"]])
    assert second["stdout"] == "one\n"
    assert second["session_id"] == first["session_id"]
    assert all(file["inherited"] for file in second["files"])


def test_a_changed_input_is_a_new_file_that_says_of_what(server: Any) -> None:
    data = server.upload("data.csv")
    answer = server.exec("open('data.csv', 'a').write('3,4\\n')", files=[data])
    (changed,) = answer["files"]
    assert changed["id"] != data["id"]
    assert changed["storage_session_id"] == answer["session_id"]
    assert changed["modified_from"] == {"id": data["id"], "storage_session_id": data["storage_session_id"]}
    assert server.download(changed) == b"a,b\n1,2\n3,4\n"
    assert server.download(data) == b"a,b\n1,2\n"
    again = server.exec("open('data.csv', 'a').write('5,6\\n')", files=[ref(changed)])
    assert again["files"][0]["modified_from"]["id"] == changed["id"]


def test_a_deleted_file_is_named(server: Any) -> None:
    data = server.upload("data.csv")
    first = server.exec("open('mine.txt', 'w').write('x')", files=[data])
    carried = [data, ref(named(first)["mine.txt"])]
    answer = server.exec("import os; os.remove('data.csv'); os.remove('mine.txt')", files=carried)
    assert sorted(answer["deleted_files"]) == ["data.csv", "mine.txt"]
    assert answer["files"] == []


def test_directories_odd_names_and_empty_files(server: Any) -> None:
    names = ["d/e/données-日本.txt", "with space & 'quote\".txt", ".hidden", "no_extension", "e\u0301.txt"]
    code = f"""
import os
os.makedirs('d/e')
for name in {names!r}:
    open(name, 'w').write(name)
open('empty', 'w')
os.symlink('empty', 'link')
open(b'bad-\\xff.txt', 'w')
open('new\\nline', 'w')
"""
    answer = server.exec(code)
    files = named(answer)
    assert set(files) == {*names, "empty"}
    for name in names:
        assert server.download(files[name]).decode() == name
    assert server.download(files["empty"]) == b""
    assert answer["stderr"].count("has a name that cannot be kept") == 2
    fresh = server.exec("import os; print(sorted(os.listdir('.')))", files=[ref(f) for f in answer["files"]])
    assert fresh["session_id"] == answer["session_id"]


def test_files_of_old_clients(server: Any) -> None:
    """3.1.63: references by `session_id`; inputs are not echoed, since it would take them for outputs."""
    data = server.upload("in.csv")
    old = {"id": data["id"], "session_id": data["storage_session_id"], "name": "in.csv"}
    first = server.exec("open('out.csv', 'w').write(open('in.csv').read() * 2)", files=[old])
    (out,) = first["files"]
    assert out["name"] == "out.csv"
    carried = {"id": out["id"], "session_id": first["session_id"], "name": "out.csv"}
    second = server.exec("print(len(open('in.csv').read()), len(open('out.csv').read()))", files=[carried])
    assert second["stdout"] == "8 16\n"
    listing = server.client.get(f"/v1/files/{first['session_id']}?detail=full").json()
    assert [entry["metadata"]["original-filename"] for entry in listing] == ["in.csv", "out.csv"]
    assert [entry["name"].split("/")[1].split(".")[0] for entry in listing] == [data["id"], out["id"]]
    got = server.client.get(f"/v1/download/{first['session_id']}/{data['id']}")
    assert got.content == b"a,b\n1,2\n"


def test_an_explicit_session_is_the_same_place(server: Any) -> None:
    first = server.exec("open('/mnt/data/x.txt', 'w').write('hi')", "py")
    second = server.exec("cat /mnt/data/x.txt", "bash", session_id=first["session_id"])
    assert (second["stdout"], second["session_id"]) == ("hi", first["session_id"])


@pytest.mark.parametrize("session", ["A" * 21, "invented by a model", "../../x", ""])
def test_a_session_that_is_none_is_a_fresh_one(server: Any, session: str) -> None:
    answer = server.exec("print(1)", session_id=session)
    assert answer["stdout"] == "1\n"
    assert answer["session_id"] != session


def test_a_stale_reference_is_left_out_and_told(server: Any) -> None:
    gone = {"id": "F" * 21, "storage_session_id": "S" * 21, "name": "old.csv", "kind": "user"}
    nonsense = {"id": "x", "name": "what.csv"}
    data = server.upload("data.csv")
    answer = server.exec("import os; print(os.listdir('.'))", files=[gone, data, nonsense])
    assert answer["stdout"] == "['data.csv']\n"
    assert "Input file 'old.csv' is no longer stored and was left out.\n" in answer["stderr"]
    assert "Input file 'what.csv' is not known and was left out.\n" in answer["stderr"]
    assert list(named(answer)) == ["data.csv"]


def test_references_that_get_in_each_others_way(server: Any) -> None:
    one, two = server.upload("a", b"first"), server.upload("a/b", b"second")
    answer = server.exec("print(open('a').read())", files=[one, {**one, "id": two["id"], "name": "a"}, two])
    assert answer["exit_code"] in (0, 1)
    assert "was left out" in answer["stderr"]


def test_read_only_inputs_are_never_outputs(server: Any) -> None:
    form = {"kind": "skill", "id": "s1", "version": "3", "read_only": "true"}
    data = server.upload("skills/pdf/SKILL.md", b"text", **form)
    data.update(kind="skill", resource_id="s1", version=3)
    code = """
import os
path = 'skills/pdf/SKILL.md'
print(oct(os.stat(path).st_mode & 0o777))
os.chmod(path, 0o644)
open(path, 'w').write('changed')
"""
    answer = server.exec(code, files=[data])
    assert answer["stdout"] == "0o444\n"
    assert answer["files"] == []
    echoed = server.exec("pass", files=[data])["files"]
    assert [(file["kind"], file["version"], file["inherited"]) for file in echoed] == [("skill", 3, True)]


def test_how_the_host_reads_and_writes_files(server: Any) -> None:
    write = """python3 - <<'PY'
import base64, json
payload = json.loads(base64.b64decode("eyJwYXRoIjogIi9tbnQvZGF0YS9uZXcvaXQncy50eHQiLCAidGV4dCI6ICJoaSJ9"))
import os
os.makedirs(os.path.dirname(payload["path"]), exist_ok=True)
with open(payload["path"], "w") as f:
    print(f"WROTE {f.write(payload['text'])} bytes to {payload['path']}")
PY"""
    wrote = server.exec(write, "bash")
    assert wrote["stdout"] == "WROTE 2 bytes to /mnt/data/new/it's.txt\n"
    read = server.exec("cat '/mnt/data/new/it'\\''s.txt'", "bash", session_id=wrote["session_id"])
    assert read["stdout"] == "hi"
    missing = server.exec("cat '/mnt/data/none'", "bash", session_id=wrote["session_id"])
    assert "No such file or directory" in missing["stderr"]


def test_a_megabyte_of_output_arrives(server: Any) -> None:
    assert len(server.exec("print('x' * 1_000_000)")["stdout"]) == 1_000_001


def test_variables_are_of_one_run(server: Any) -> None:
    first = server.exec("x = 1; open('/tmp/t', 'w').write('t'); open('k', 'w')")
    second = server.exec("print('x' in globals())", session_id=first["session_id"])
    assert second["stdout"] == "False\n"


def test_two_sessions_do_not_see_each_other(server: Any) -> None:
    first = server.exec("open('secret', 'w').write('s')")
    second = server.exec("import os; print(os.listdir('/mnt/data'))")
    assert second["session_id"] != first["session_id"]
    assert second["stdout"] == "[]\n"


def test_runs_of_one_session_at_one_time(server: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    session = server.exec("open('n', 'w').write('0')")["session_id"]
    count = "n = int(open('n').read()); import time; time.sleep(0.05); open('n', 'w').write(str(n + 1))"
    with ThreadPoolExecutor(5) as threads:
        answers = list(threads.map(lambda _: server.exec(count, session_id=session), range(5)))
    assert [answer["stderr"] for answer in answers] == [""] * 5
    assert server.exec("print(open('n').read())", session_id=session)["stdout"] == "5\n"


def test_a_long_run_keeps_its_connection_alive(server: Any) -> None:
    code = "import time; time.sleep(4); open('a', 'w').write('x'); print('done')"
    with server.client.stream("POST", "/exec", json={"lang": "py", "code": code}) as response:
        begun, chunks = time.monotonic(), []
        for chunk in response.iter_raw():
            chunks.append((time.monotonic() - begun, chunk))
    assert chunks[0][1].strip() == b""
    assert chunks[0][0] < 4
    answer = json.loads(b"".join(chunk for _, chunk in chunks))
    assert answer["stdout"] == "done\n"
    assert [file["name"] for file in answer["files"]] == ["a"]


def test_a_client_that_leaves_ends_its_run(server: Any) -> None:
    session = server.exec("open('n', 'w').write('before')")["session_id"]
    code = "open('n', 'w').write('begun'); import time; time.sleep(30); open('n', 'w').write('late')"
    body = json.dumps({"lang": "py", "code": code, "session_id": session}).encode()
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        head = f"POST /v1/exec HTTP/1.1\r\nHost: [::1]\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        assert client.recv(65536).startswith(b"HTTP/1.1 200")  # the first white space: the run is under way
    begun = time.monotonic()
    answer = server.exec("print(open('n').read())", session_id=session)
    assert answer["stdout"] == "begun\n"
    assert time.monotonic() - begun < 10
