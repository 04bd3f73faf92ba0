"""§3.1.2, §5: the files of an answer, and their way into the next run."""

from __future__ import annotations

from e2e.conformance import expect
from e2e.conformance.form import Form
from e2e.conformance.registry import requirement
from e2e.conformance.server import Json, Server, legacy, output, reference


def _content(server: Server, file: Json) -> bytes:
    answer = server.get(f"/download/{file['storage_session_id']}/{file['id']}")
    return expect.status(answer, 200).content


def _new(answer: Json) -> list[str]:
    return [file["name"] for file in answer["files"] if not file.get("inherited")]


@requirement("C-201", "§3.1.2", "a file that a run makes is in files[] and can be downloaded")
def made(server: Server) -> None:
    expect.same(_content(server, server.made("made.txt", "made")), b"made", "the download")


@requirement("C-202", "§3.1.2", "names of outputs keep directories, spaces and other scripts")
def made_with_any_name(server: Server) -> None:
    for name in ("plots/été 2026/図.txt", "it's (1) & 100%.txt", "Makefile", "data.unheard-of"):
        expect.same(_content(server, server.made(name, name)), name.encode(), "the download")


@requirement("C-203", "§5", "the next run sees it, and what it appends is a new file of the same name")
def carried(server: Server) -> None:
    first = server.made("notes.txt", "one\n")
    ran = server.run("cat notes.txt; echo two >> notes.txt", files=[first])
    expect.same(ran["stdout"], "one\n", "what the second run reads")
    second = output(ran, "notes.txt")
    expect.that(second["id"] != first["id"], "the changed file has the old id")
    expect.same(_content(server, second), b"one\ntwo\n", "the new file")
    expect.same(_content(server, first), b"one\n", "the old file")


@requirement(
    "C-204", "§5", "a changed upload is a new file in the run's session; modified_from tells of which"
)
def changed_input(server: Server) -> None:
    given = server.upload("table.csv", b"a\n")
    ran = server.run("echo b >> table.csv", files=[given])
    changed = output(ran, "table.csv")
    expect.same(changed["storage_session_id"], ran["session_id"], "its session")
    expect.same(_content(server, changed), b"a\nb\n", "the new file")
    expect.same(_content(server, given), b"a\n", "what the user uploaded")
    (entry,) = [file for file in ran["files"] if file["name"] == "table.csv"]
    origin = entry.get("modified_from") or {"id": given["id"]}
    expect.same(origin["id"], given["id"], "`modified_from`")


@requirement("C-205", "§5", "an input left alone is no output: left out, or inherited with its owner")
def unchanged_input(server: Server) -> None:
    given = server.upload("as-it-was.csv", b"a\n")
    ran = server.run("cat as-it-was.csv", files=[given])
    for echo in (file for file in ran["files"] if file["name"] == given["name"]):
        expect.that(echo.get("inherited"), "it is told as a new file")
        expect.same(echo["id"], given["id"], "its id")
        owner = (echo.get("kind", "user"), echo.get("resource_id", given["resource_id"]))
        expect.same(owner, ("user", given["resource_id"]), "its owner")


@requirement("C-206", "§5", "to a client of old no input is echoed")
def legacy_input_not_echoed(server: Server) -> None:
    given = legacy(server.upload("silent.csv", b"a\n"))
    request = {"lang": "bash", "code": "cat silent.csv", "files": [legacy(server.shared), given]}
    ran = expect.status(server.send("POST", "/exec", json=request), 200).json()
    expect.same((ran["stdout"], ran["files"]), ("a\n", []), "(stdout, files)")


@requirement("C-207", "§5", "a client of old forgets its uploads after an output: the server remembers them")
def lineage(server: Server) -> None:
    given = legacy(server.upload("lineage.csv", b"a\n"))
    first = {"lang": "bash", "code": "echo x > lineage-made.txt", "files": [legacy(server.shared), given]}
    made = output(server.send("POST", "/exec", json=first).json(), "lineage-made.txt")
    second = {"lang": "bash", "code": "cat lineage.csv lineage-made.txt", "files": [legacy(made)]}
    ran = expect.status(server.send("POST", "/exec", json=second), 200).json()
    expect.same(ran["stdout"], "a\nx\n", f"what the second run reads (stderr: {ran['stderr']!r})")


@requirement("C-208", "§5", "the run's session lists its inputs, and resolves their ids")
def inputs_in_the_runs_session(server: Server) -> None:
    given = server.upload("listed.csv", b"a\n")
    ran = server.run("cat listed.csv", files=[legacy(given)])
    listing = server.get(f"/files/{ran['session_id']}", detail="full").json()
    expect.within("listed.csv", [each["metadata"]["original-filename"] for each in listing], "the listing")
    expect.same(_content(server, given | {"storage_session_id": ran["session_id"]}), b"a\n", "the download")


@requirement("C-209", "§3.1.2", "what a run deletes is named in deleted_files")
def deleted(server: Server) -> None:
    gone = server.made("gone.txt", "x")
    ran = server.run("rm gone.txt", files=[gone])
    expect.within("gone.txt", ran.get("deleted_files") or [], "`deleted_files`")
    expect.that("gone.txt" not in [file["name"] for file in ran["files"]], "it is still among the files")


@requirement("C-210", "§3.1.2", "files of a run that fails are kept")
def made_by_a_failure(server: Server) -> None:
    ran = server.run("echo x > failed.txt; exit 1")
    expect.same(_content(server, output(ran, "failed.txt")), b"x\n", "the download")


@requirement("C-211", "§3.5", "a read-only input can be run but not written, and is never an output")
def read_only_input(server: Server) -> None:
    scope = [("kind", "skill"), ("id", "s1"), ("version", "3"), ("read_only", "true")]
    form = Form(scope, [("skills/pdf/run.py", b"print('ran')")])
    stored = expect.status(server.post_form("/upload/batch", form), 200).json()
    file = reference(stored["storage_session_id"], stored["files"][0]["fileId"], "skills/pdf/run.py")
    ran = server.run("f=skills/pdf/run.py; python3 $f; echo x >> $f; rm -f $f; echo x > $f", files=[file])
    expect.that(ran["stdout"].startswith("ran"), f"stdout is {ran['stdout']!r}")
    expect.that("skills/pdf/run.py" not in _new(ran), "it is an output")


@requirement("C-212", "§3.1.2", "an empty file and one of 10 MB are outputs, byte for byte")
def sizes(server: Server) -> None:
    ran = server.run(": > empty.bin; head -c 10000000 /dev/zero | tr '\\0' 'z' > large.bin")
    expect.same(_content(server, output(ran, "empty.bin")), b"", "the empty file")
    expect.that(_content(server, output(ran, "large.bin")) == b"z" * 10_000_000, "the large file differs")


@requirement("C-213", "§3.1.2", "a symbolic link that leads out is no output")
def link(server: Server) -> None:
    ran = server.run("ln -sf /etc/hostname link.txt; echo x > beside.txt")
    expect.same(_new(ran), ["beside.txt"], "the outputs")
