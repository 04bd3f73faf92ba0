"""§8, §9: the real clients, as LibreChat drives them; what differs from dialect to dialect."""

from __future__ import annotations

import base64
import datetime as dt
import struct
import zlib

from e2e.clients.install import LEGACY
from e2e.clients.librechat import ClientError, Json, LibreChat
from e2e.conformance import expect
from e2e.conformance.guest import Guest
from e2e.conformance.registry import of_clients, requirement
from e2e.conformance.server import Server

NEW = ("3.2.57", "3.9.2")
CSV = b"city,people\nOslo,709037\nBergen,291940\n"


@of_clients("C-901", "§9", "execute_code runs Python with arguments")
def execute_code(guest: Guest) -> None:
    made = guest.chat.python("import sys; print(40 + 2, sys.argv[1:])", args=["a b", "ü"])
    expect.same(made.stdout.strip(), "42 ['a b', 'ü']", "what the model reads")


@of_clients("C-902", "§9", "a command runs with arguments, by bash_tool where there is one")
def command(guest: Guest) -> None:
    made = guest.chat.bash("seq 3 | paste -sd+; echo $1", args=["a b"])
    expect.same(made.stdout.split("\n")[:2], ["1+2+3", "a b"], "what the model reads")


@of_clients("C-903", "§9", "exceptions, exit codes and unknown languages are told to the model")
def mistakes(guest: Guest) -> None:
    raised = guest.chat.python("print('before')\n1 / 0")
    expect.that(raised.stdout.startswith("before"), f"the model reads {raised.content!r}")
    expect.within("ZeroDivisionError", raised.stderr, "the stderr that the model reads")
    expect.within("37", guest.chat.bash("exit 37").stderr, "the stderr of exit 37")
    expect.within("f90", guest.client.execute_code("f90", "end").stderr, "the stderr of f90")


@of_clients("C-904", "§3.1.2", "a run that prints nothing is no error")
def silence(guest: Guest) -> None:
    made = guest.chat.python("pass")
    expect.that(made.status == "success" and "Empty" in made.content, f"the model reads {made.content!r}")


@of_clients("C-905", "§0.8", "1 000 000 bytes of output reach the client whole")
def output(guest: Guest) -> None:
    """Not through the ToolNode, which shows a model 400 000 characters at most."""
    made = guest.python("print('x' * 1_000_000)", guest.shared)
    expect.same(made.stdout.count("x"), 1_000_000, "the count of characters")


@of_clients("C-906", "§9", "upload, run, output, download: names of other scripts, and with a path, are kept")
def names(guest: Guest) -> None:
    for name in ("données-日本.csv", "it's (1) & 100%.csv", "skills/pdf/table.csv", "no-extension"):
        name = guest.name(name)
        made = guest.bash('cp "$1" "$1.copy"; wc -c < "$1"', guest.client.upload(name, CSV), args=[name])
        expect.same(made.stdout.split()[0], str(len(CSV)), f"the size of {name!r}")
        expect.same(guest.client.download(made, f"{name}.copy").content, CSV, "the download")


@of_clients("C-907", "§9", "an image in a folder is an output, and comes byte for byte")
def image(guest: Guest) -> None:
    name, png = guest.name("été 2026/図.png"), _png()
    code = "import base64, os, sys\nos.makedirs(os.path.dirname(sys.argv[1]))\n"
    code += f"open(sys.argv[1], 'wb').write(base64.b64decode({base64.b64encode(png).decode()!r}))"
    made = guest.python(code, args=[name])
    expect.that(guest.client.download(made, name).content == png, "the download differs")


@of_clients("C-911", "§5", "the second call sees the first's file, and the third what the second appended")
def second_call(guest: Guest) -> None:
    conversation, name = guest.conversation(), guest.name("notes.txt").replace("/", "-")
    conversation.python("import sys; open(sys.argv[1], 'w').write('one\\n')", args=[name])
    second = conversation.bash('cat "$1"; echo two >> "$1"', args=[name])
    expect.same(second.stdout.split("\n")[0], "one", "what the second reads")
    third = conversation.python("import sys; print(open('/mnt/data/' + sys.argv[1]).read())", args=[name])
    expect.same(third.stdout.split()[:2], ["one", "two"], "what the third reads")
    expect.same(guest.client.download(second, name).content, b"one\ntwo\n", "the download")


@of_clients("C-912", "§5", "an attachment is there in every call, also after a run made a file")
def attachment(guest: Guest) -> None:
    name = guest.name("cities.csv")
    conversation = guest.client.conversation([guest.client.upload(name, CSV)])
    conversation.bash("echo x > made.txt")
    for _ in range(2):
        made = conversation.bash('cat made.txt; cat "$1"', args=[name])
        expect.within("Oslo", made.stdout, f"what a later call reads (stderr: {made.stderr!r})")


@of_clients("C-913", "§5", "an attachment that was changed is a new file, and the next call has it")
def changed(guest: Guest) -> None:
    name = guest.name("cities.csv")
    table = guest.client.upload(name, CSV)
    conversation = guest.conversation(table)
    made = conversation.bash('echo Voss,16400 >> "$1"', args=[name])
    expect.that(made.file(name)["id"] != table["id"], "it has the id of the attachment")
    expect.same(guest.client.download(made, name).content, CSV + b"Voss,16400\n", "the download")
    expect.within("Voss", conversation.bash('tail -1 "$1"', args=[name]).stdout, "what the next call reads")
    session = table.get("storage_session_id") or table["session_id"]
    uploaded = guest.client.get(f"/download/{session}/{table['id']}", **guest.client.scope)
    expect.same(uploaded.content, CSV, "what the user uploaded")


@of_clients("C-914", "§5", "an attachment left alone is not shown as a new file")
def unchanged(guest: Guest) -> None:
    name = guest.name("cities.csv")
    made = guest.bash('cat "$1"', guest.client.upload(name, CSV), args=[name])
    expect.that(all(file.get("inherited") for file in made.files), f"the files are {made.files}")
    # A client of old would show an echoed input to the user once more.
    expect.that(not (guest.client.legacy and made.files), f"the files are {made.files}")


@of_clients("C-915", "§3.1.2", "a deleted file is forgotten by clients that read of it, and others stay")
def deleted(guest: Guest) -> None:
    conversation, name = guest.conversation(), guest.name("x").replace("/", "-")
    conversation.bash('echo x > "gone-$1"; echo y > "stays-$1"', args=[name])
    made = conversation.bash('rm "gone-$1"', args=[name])
    listed = conversation.bash("ls").stdout.split()
    expect.within(f"stays-{name}", listed, "what ls shows")
    if guest.client.version != "3.9.2":
        # Before, clients did not read deleted_files, and send the reference again: nothing is lost by it.
        return
    expect.same(made.artifact["deleted_files"], [f"gone-{name}"], "`deleted_files`")
    expect.that(f"gone-{name}" not in listed, "ls shows it")
    carried = [file["name"] for file in made.carried]
    expect.that(f"gone-{name}" not in carried and f"stays-{name}" in carried, f"carried is {carried}")


@of_clients("C-916", "§3.1.1", "stale references, and two of one name, do not fail the call")
def odd_references(guest: Guest) -> None:
    name = guest.name("a.csv")
    gone = guest.client.upload(guest.name("gone.csv"), CSV) | {"id": "A" * 21}
    files = [gone, guest.client.upload(name, b"first"), guest.client.upload(name, b"last")]
    made = guest.bash('cat "$1"', *files, args=[name])
    expect.that(made.stdout.startswith("last"), f"the model reads {made.content!r}")


@of_clients(
    "C-917", "§3.1.3", "a request that the server refuses is told as such, and does not end the client"
)
def refusal(guest: Guest) -> None:
    asked = {"tool": "execute_code", "args": {"lang": "py", "code": "print(1)"}, "files": "no list"}
    try:
        guest.client.ask("call", **asked)
    except ClientError as error:
        told = str(error)
    else:
        expect.fail("the call went through")
    refused = any(word in told for word in ("400", "422", "rejected"))
    expect.that(refused, f"the model is told {told!r}")
    expect.same(guest.chat.python("print(1)").stdout.strip(), "1", "what the next call prints")


@of_clients("C-921", "§3.7", "the listing by which LibreChat 0.7.5 to 0.8.5 tells a fresh upload", LEGACY)
def freshness(guest: Guest) -> None:
    file = guest.client.upload("données-日本.csv", CSV)
    session = file["session_id"]
    listing = guest.client.get(f"/files/{session}", detail="summary", entity_id="agent_abc").json()
    found = [entry for entry in listing if entry["name"].startswith(f"{session}/{file['id']}")]
    expect.that(found, f"the listing is {listing}")
    _recent(found[0]["lastModified"])


@of_clients(
    "C-922", "§3.8", "the object by which LibreChat since 0.8.6 tells a fresh upload; its deletion", NEW
)
def described(guest: Guest) -> None:
    file, scope = guest.client.upload("données-日本.csv", CSV), guest.client.scope
    path = f"/sessions/{file['storage_session_id']}/objects/{file['id']}"
    found = guest.client.get(path, **scope).json()
    _recent(found["lastModified"])
    expect.same(found["originalFilename"], "données-日本.csv", "`originalFilename`")
    expect.within(guest.client.delete(path, **scope).status, (200, 204), "the allowed status of a deletion")
    expect.same(guest.client.get(path, **scope).status, 404, "the status afterwards")


@of_clients("C-923", "§3.5", "a skill's batch is primed: run, not written, never an output", NEW)
def skill(guest: Guest) -> None:
    folder = guest.name("pdf")
    contents = {f"{folder}/SKILL.md": b"# PDF", f"{folder}/scripts/run.py": b"print('ran')"}
    files = guest.client.upload_batch(contents, read_only=True)
    made = guest.bash('python3 "$1/scripts/run.py"; echo x >> "$1/SKILL.md"', *files, args=[folder])
    expect.that(made.stdout.startswith("ran"), f"the model reads {made.content!r}")
    expect.within("SKILL.md", made.stderr, "the stderr that the model reads")
    expect.that(all(file.get("inherited") for file in made.files), f"the files are {made.files}")


@of_clients("C-924", "§8", "of old the model names the session, and the client lists its files", ("2.4.85",))
def session_as_argument(guest: Guest) -> None:
    made = guest.client.python("open('table.csv', 'w').write('a,b')")
    asked: Json = {"lang": "py", "code": "print(open('table.csv').read())"}
    result = guest.client.ask(
        "call",
        tool="execute_code",
        args=asked | {"session_id": made.artifact["session_id"]},
        files=[],
    )
    expect.that(
        guest.client.message(result).stdout.startswith("a,b"), f"the model reads {result['content']!r}"
    )


@requirement("C-931", "§1", "a base URL may end with a slash: 2.4.85 then asks for //exec")
def slash(server: Server) -> None:
    with LibreChat("2.4.85", f"{server.base}/", server.api_key, server.bearer) as client:
        made = client.python("print(1)")
        server.noticed(client.sessions)
        expect.same(made.stdout.strip(), "1", "what the model reads")


@of_clients("C-941", "§9", "a run of 8 s outlives the pooled socket of a listing before it", ("2.4.85",))
def pooled_socket(guest: Guest) -> None:
    """axios leaves its pooled sockets with a time limit, to node-fetch: LibreChat before 0.8.4 on Node >= 19
    then hung up after 4 to 5 s, unless the server closed the connection or showed life."""
    guest.client.ask(
        "http", method="GET", path=f"/files/{'A' * 21}", query={"detail": "summary"}, timeout_ms=5000
    )
    try:
        made = guest.client.python("import time; time.sleep(8); print('ok')")
    except ClientError as error:
        expect.fail(f"the client says: {error}")
    expect.same(made.stdout.strip(), "ok", "what the model reads")


def _recent(moment: str) -> None:
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(moment)
    expect.that(abs(age) < dt.timedelta(hours=23), f"`lastModified` is {moment}")


def _png() -> bytes:
    """A valid image of 8 x 8 pixels."""
    rows = b"".join(b"\x00" + bytes([30 * row, 0, 120] * 8) for row in range(8))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    framed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)
