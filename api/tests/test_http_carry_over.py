"""Files from one call to the next, as LibreChat's ToolNodes of all ages carry them (contract, part 5)."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.sandbox

LIST = "import os; print(sorted(n for n in os.listdir('.')))"


class NewToolNode:
    """Since 3.1.77: merges by name; what is `inherited` keeps its kind and owner, what is named in
    `deleted_files` is forgotten."""

    def __init__(self, server: Any, *primed: dict[str, Any]) -> None:
        self._server = server
        self.files = {file["name"]: file for file in primed}

    def call(self, code: str, lang: str = "py") -> dict[str, Any]:
        answer: dict[str, Any] = self._server.exec(code, lang, files=list(self.files.values()))
        for file in answer["files"]:
            ref = {key: file[key] for key in ("id", "name", "storage_session_id")}
            said = {key: file[key] for key in ("kind", "resource_id", "version") if key in file}
            owned = said if file.get("inherited") else {"kind": "user", "resource_id": file["id"]}
            self.files[file["name"]] = {**ref, **owned}
        for name in answer["deleted_files"]:
            self.files.pop(name, None)
        return answer


class OldToolNode:
    """3.1.x: the files of an answer replace all that was carried, under the session that ran."""

    def __init__(self, server: Any, *primed: dict[str, Any]) -> None:
        self._server = server
        self.files = [legacy(file) for file in primed]

    def call(self, code: str, lang: str = "py") -> dict[str, Any]:
        answer: dict[str, Any] = self._server.exec(code, lang, files=self.files)
        if answer["files"]:
            self.files = [
                {"id": file["id"], "name": file["name"], "session_id": answer["session_id"]}
                for file in answer["files"]
            ]
        return answer


def legacy(file: dict[str, Any], session: str | None = None) -> dict[str, Any]:
    return {"id": file["id"], "name": file["name"], "session_id": session or file["storage_session_id"]}


def end_sandbox(server: Any, answer: dict[str, Any]) -> None:
    """As idleness does, but at once: the program ends its own runner, if it has to."""
    server.client.post(
        "/v1/exec", json={"lang": "bash", "code": "kill -9 -1", "session_id": answer["session_id"]}
    )


def test_a_conversation_with_a_new_client(server: Any) -> None:
    node = NewToolNode(server, server.upload("in.csv"))
    made = node.call("open('made.csv', 'w').write('1')")
    assert [(f["name"], f.get("inherited")) for f in made["files"]] == [("made.csv", None), ("in.csv", True)]
    changed = node.call("open('in.csv', 'a').write('more')\nopen('made.csv', 'a').write('2')")
    assert {f["name"]: f.get("inherited") for f in changed["files"]} == {"in.csv": None, "made.csv": None}
    assert all(file["modified_from"]["id"] != file["id"] for file in changed["files"])
    assert node.call("cat in.csv made.csv", "bash")["stdout"] == "a,b\n1,2\nmore12"
    deleted = node.call("import os; os.remove('made.csv')")
    assert deleted["deleted_files"] == ["made.csv"]
    assert list(node.files) == ["in.csv"]
    assert node.call(LIST)["stdout"] == "['in.csv']\n"


def test_a_conversation_with_an_old_client(server: Any) -> None:
    """Its uploads are gone from its list after the first output, and still there for the code."""
    node = OldToolNode(server, server.upload("in.csv"), server.upload("second.csv"))
    first = node.call("open('made.csv', 'w').write('1')")
    assert [file["name"] for file in first["files"]] == ["made.csv"]
    assert "inherited" not in first["files"][0]
    assert node.call(LIST)["stdout"] == "['in.csv', 'made.csv', 'second.csv']\n"
    node.call("import os; os.remove('second.csv')\nopen('other.csv', 'w').write('2')")
    assert [file["name"] for file in node.files] == ["other.csv"]
    assert node.call(LIST)["stdout"] == "['in.csv', 'made.csv', 'other.csv']\n"


def test_a_client_that_lists_the_session_and_sends_all_of_it(server: Any) -> None:
    """2.4 to 3.0: the model names the session."""
    made = server.exec("open('made.csv', 'w').write('1')", files=[legacy(server.upload("in.csv"))])
    session = made["session_id"]
    listing = server.client.get(f"/v1/files/{session}?detail=full").json()
    refs = [
        {
            "id": entry["name"].split("/")[1].split(".")[0],
            "name": entry["metadata"]["original-filename"],
            "session_id": session,
        }
        for entry in listing
    ]
    assert [ref["name"] for ref in refs] == ["in.csv", "made.csv"]
    for asked in ({"session_id": session, "files": refs}, {"files": refs}):
        answer = server.exec(LIST, **asked)
        assert answer["stdout"] == "['in.csv', 'made.csv']\n"
        assert (answer["files"], answer["stderr"]) == ([], "")


@pytest.mark.parametrize("dialect", ["storage_session_id", "session_id"])
def test_an_input_is_a_file_of_the_session_that_ran_too(server: Any, dialect: str) -> None:
    """Clients overwrite the session of an input by that of the answer."""
    data = server.upload("in.csv")
    session = server.exec("pass", files=[legacy(data)])["session_id"]
    ref = {"id": data["id"], "name": "renamed.csv", dialect: session}
    assert server.exec("cat renamed.csv", "bash", files=[ref])["stdout"] == "a,b\n1,2\n"
    described = server.client.get(f"/v1/sessions/{session}/objects/{data['id']}?kind=user&id=u1").json()
    assert (described["originalFilename"], described["size"]) == ("in.csv", 8)
    assert server.client.get(f"/v1/download/{session}/{data['id']}").content == b"a,b\n1,2\n"
    assert server.client.get(f"/v1/download/{session}/in.csv").content == b"a,b\n1,2\n"


def test_a_reference_without_a_session_is_of_the_session_asked_for(server: Any) -> None:
    """Calls of the host send no more than id and name."""
    made = server.exec("open('made.csv', 'w').write('1')")
    ref = {"id": made["files"][0]["id"], "name": "made.csv"}
    answer = server.exec("cat made.csv", "bash", session_id=made["session_id"], files=[ref])
    assert (answer["stdout"], answer["stderr"]) == ("1", "")


FAILURES = [
    ("raise SystemExit(3)", {"exit_code": 3, "status": "RE"}),
    ("1 / 0", {"exit_code": 1, "status": "RE"}),
    ("import os; os.kill(os.getpid(), 11)", {"status": "SG"}),
    ("import time; time.sleep(60)", {"status": "TO"}),
    ("print('x' * 3_000_000)", {"status": "OL"}),
]


@pytest.mark.parametrize(("failure", "fields"), FAILURES)
def test_a_run_that_fails_keeps_what_it_made(server: Any, failure: str, fields: dict[str, Any]) -> None:
    data = server.upload("in.csv")
    code = f"""
import os
with open('made.csv', 'w') as made, open('in.csv', 'a') as changed:
    made.write('1')
    changed.write('3,4')
open('short.txt', 'w').close()
os.remove('short.txt')
{failure}
"""
    answer = server.exec(code, files=[data], timeout=3000)
    assert fields.items() <= answer.items()
    files = {file["name"]: file for file in answer["files"]}
    assert set(files) == {"made.csv", "in.csv"}
    assert files["in.csv"]["modified_from"]["id"] == data["id"]
    assert server.download(files["made.csv"]) == b"1"
    assert server.download(files["in.csv"]) == b"a,b\n1,2\n3,4"


@pytest.mark.parametrize("old", [False, True])
def test_read_only_inputs_are_never_outputs_in_either_dialect(server: Any, old: bool) -> None:
    form = {"kind": "skill", "id": "s1", "version": "3", "read_only": "true"}
    data = server.upload("skills/pdf/SKILL.md", b"text", **form) | {"kind": "skill", "resource_id": "s1"}
    ref = legacy(data) if old else data
    code = "cd skills/pdf; stat -c %a SKILL.md; chmod u+w SKILL.md; echo changed > SKILL.md; echo x > new.md"
    answer = server.exec(code, "bash", files=[ref])
    assert answer["stdout"] == "444\n"
    assert [file["name"] for file in answer["files"]] == ["skills/pdf/new.md"]
    echoed = server.exec("pass", files=[ref])["files"]
    assert [(file["kind"], file["inherited"]) for file in echoed] == ([] if old else [("skill", True)])


def test_the_last_of_one_name_counts(server: Any) -> None:
    one, two = server.upload("same.csv", b"one"), server.upload("same.csv", b"two")
    for refs, found in (([one, two], "two"), ([two, one], "one")):
        answer = server.exec("cat same.csv", "bash", files=refs)
        assert (answer["stdout"], answer["stderr"]) == (found, "")
        assert len(answer["files"]) == 1


@pytest.mark.parametrize("old", [False, True])
def test_a_sandbox_that_is_gone_costs_no_file(server: Any, old: bool) -> None:
    """New clients name all files; for old ones the lineage is mounted again."""
    data = server.upload("in.csv")
    node: NewToolNode | OldToolNode = OldToolNode(server, data) if old else NewToolNode(server, data)
    first = node.call("open('made.csv', 'w').write('1')\nopen('doomed.csv', 'w').write('1')")
    node.call("import os; os.remove('doomed.csv'); open('second.csv', 'w').write('2')")
    end_sandbox(server, first)
    after = node.call(LIST)
    assert after["stdout"] == "['in.csv', 'made.csv', 'second.csv']\n"
    assert after["session_id"] != first["session_id"]
    assert after["stderr"] == ""
