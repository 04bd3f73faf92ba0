"""Files into runs, out of them, and from one run to the next."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from e2e.clients.librechat import LibreChat

CSV = b"city,people\nOslo,709037\nBergen,291940\n"

PLOT = """
import hashlib
import matplotlib.pyplot as plt
plt.plot([1, 4, 2])
plt.savefig("{name}")
print(hashlib.sha256(open("{name}", "rb").read()).hexdigest())
"""


def test_pandas_reads_an_uploaded_csv(client: LibreChat) -> None:
    table = client.upload("cities.csv", CSV)
    code = "import pandas as pd; print(pd.read_csv('/mnt/data/cities.csv').people.sum())"
    assert client.python(code, files=[table]).stdout.strip() == "1000977"


def test_bash_sees_an_uploaded_file(client: LibreChat) -> None:
    table = client.upload("cities.csv", CSV)
    assert client.bash("wc -c < cities.csv", files=[table]).stdout.strip() == str(len(CSV))


@pytest.mark.parametrize("name", ["plot.png", "plots/été 2026/図.png"])
def test_a_plot_is_downloaded_byte_for_byte(client: LibreChat, name: str) -> None:
    folder = name.rpartition("/")[0] or "."
    made = client.python(f"import os; os.makedirs({folder!r}, exist_ok=True)\n" + PLOT.format(name=name))
    assert [file["name"] for file in made.files] == [name], made.stderr
    reply = client.download(made, name)
    assert reply.content.startswith(b"\x89PNG")
    assert hashlib.sha256(reply.content).hexdigest() == made.stdout.strip().split("\n")[0]


@pytest.mark.parametrize("name", ["données-日本.csv", "it's (1) & 100%.csv", "no-extension"])
def test_a_name_is_kept_from_upload_to_download(client: LibreChat, name: str) -> None:
    code = "import os, shutil\n(n,) = os.listdir()\nprint(n)\nshutil.copy(n, 'copy of ' + n)"
    made = client.python(code, files=[client.upload(name, CSV)])
    assert made.stdout.split("\n")[0] == name
    assert client.download(made, f"copy of {name}").content == CSV


def test_a_nested_path_is_kept_from_upload_to_download(client: LibreChat) -> None:
    table = client.upload("skills/pdf/table.csv", CSV)
    made = client.bash("cp skills/pdf/table.csv skills/pdf/out.csv", files=[table])
    assert client.download(made, "skills/pdf/out.csv").content == CSV


def test_the_second_call_sees_the_firsts_file(client: LibreChat) -> None:
    conversation = client.conversation()
    conversation.python("open('notes.txt', 'w').write('one\\n')")
    second = conversation.bash("cat notes.txt; echo two >> notes.txt")
    assert second.stdout.split("\n")[0] == "one"
    third = conversation.python("print(open('/mnt/data/notes.txt').read())")
    assert third.stdout.split() == ["one", "two"]
    assert client.download(second, "notes.txt").content == b"one\ntwo\n"


def test_an_attachment_is_there_in_every_call(client: LibreChat) -> None:
    """Old clients forget attachments as soon as a run makes a file; the server remembers for them."""
    conversation = client.conversation([client.upload("cities.csv", CSV)])
    conversation.python("open('made.txt', 'w').write('x')")
    for _ in range(2):
        assert {"cities.csv", "made.txt"} <= set(conversation.bash("ls").stdout.split())


def test_an_input_that_was_changed_is_a_new_file(client: LibreChat) -> None:
    table = client.upload("cities.csv", CSV)
    conversation = client.conversation([table])
    changed = conversation.bash("echo Voss,16400 >> cities.csv")
    assert changed.file("cities.csv")["id"] != table["id"]
    assert client.download(changed, "cities.csv").content == CSV + b"Voss,16400\n"
    assert conversation.bash("tail -1 cities.csv").stdout.startswith("Voss")
    # What the user uploaded is as it was.
    assert client.bash("cat cities.csv", files=[table]).stdout.encode().startswith(CSV.rstrip())


def test_an_input_left_alone_is_no_new_file(client: LibreChat) -> None:
    made = client.bash("cat cities.csv", files=[client.upload("cities.csv", CSV)])
    assert all(file.get("inherited") for file in made.files)
    # An old client would show an echoed input to the user once more.
    assert not (client.legacy and made.files)


def test_a_deleted_file_is_forgotten(client: LibreChat) -> None:
    conversation = client.conversation()
    conversation.bash("echo x > gone.txt; echo y > stays.txt")
    deleted = conversation.bash("rm gone.txt")
    if client.legacy:
        # 3.1 does not read deleted_files and sends the reference again: nothing is lost by it.
        assert "stays.txt" in conversation.bash("ls").stdout
        return
    assert deleted.artifact["deleted_files"] == ["gone.txt"]
    assert [file["name"] for file in deleted.carried] == ["stays.txt"]
    assert conversation.bash("ls").stdout.split() == ["stays.txt"]


def test_a_reference_to_nothing_does_not_fail_the_run(client: LibreChat) -> None:
    gone = client.upload("cities.csv", CSV) | {"id": "A" * 21}
    made = client.python("print('ran')", files=[gone])
    assert made.stdout.startswith("ran")
    assert "cities.csv" in made.stderr


def test_two_inputs_of_one_name_do_not_fail_the_run(client: LibreChat) -> None:
    files = [client.upload("a.csv", b"first"), client.upload("a.csv", b"last")]
    assert client.bash("cat a.csv", files=files).stdout.startswith("last")


def test_a_skills_files_are_read_only_and_never_outputs(http: httpx.Client, client: LibreChat) -> None:
    if client.legacy:
        # There were no skills, and no /upload/batch, before LibreChat 0.8.6.
        assert http.post("/v1/upload/batch", files={}).status_code == 415
        return
    contents = {"skills/pdf/SKILL.md": b"# PDF", "skills/pdf/scripts/run.py": b"print('ran')"}
    files = client.upload_batch(contents, read_only=True)
    made = client.bash("python3 skills/pdf/scripts/run.py; echo x >> skills/pdf/SKILL.md", files=files)
    assert made.stdout.startswith("ran")
    assert "skills/pdf/SKILL.md" in made.stderr
    assert all(file.get("inherited") for file in made.files)


def test_what_is_in_tmp_is_not_kept(client: LibreChat) -> None:
    conversation = client.conversation()
    conversation.bash("echo x > /tmp/scratch.txt; echo y > kept.txt")
    assert "kept.txt" in conversation.bash("ls /mnt/data").stdout
    made = conversation.bash("true")
    assert "scratch.txt" not in str(made.carried)
