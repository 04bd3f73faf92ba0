"""What the clients' tool texts promise to the model (contract §6), a test each."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from e2e.targets import kubectl
from e2e.targets.full import FULL
from e2e.tests.cluster.full.sandbox import Sandbox, names

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

# Of the official server's list of extensions, one or more of each of its kinds, and what it would drop.
KINDS = """
a.py a.js a.ts a.c a.cpp a.java a.php a.rs a.go a.d a.f90 a.r a.sh a.html a.css a.vue a.txt a.md a.tex a.csv
a.tsv a.json
a.jsonl a.xml a.yaml a.toml a.ini a.conf a.sql a.parquet a.db a.docx a.xlsx a.pptx a.odt a.pdf a.svg
a.ttf a.woff2 a.zip a.tar a.gz a.7z a.log a.deb Dockerfile .gitignore no-extension a.unheard-of
""".split()  # noqa: SIM905
IMAGES = ["avif", "bmp", "gif", "ico", "jpeg", "jpg", "png", "tif", "tiff", "webp"]


@pytest.fixture
def another(full_http: httpx.Client) -> Iterator[Sandbox]:
    with Sandbox.opened(full_http) as opened:
        yield opened


def test_mnt_data_is_the_working_area(sandbox: Sandbox) -> None:
    answer = sandbox.succeeds("pwd; echo x > relative.txt; cat /mnt/data/relative.txt; rm relative.txt")
    assert answer["stdout"] == "/mnt/data\nx\n"
    assert sandbox.succeeds("import os; print(os.getcwd())", "py")["stdout"] == "/mnt/data\n"


def test_files_of_every_kind_stay_for_the_next_call(sandbox: Sandbox) -> None:
    made = sandbox.succeeds('for n; do echo "$n" > "kinds-$n"; done', args=KINDS)
    assert names(made) == sorted(f"kinds-{kind}" for kind in KINDS)
    assert (
        sandbox.succeeds('for n; do cat "kinds-$n"; done; rm kinds-*', args=KINDS)["stdout"].split() == KINDS
    )


def test_files_come_back_when_their_sandbox_is_gone(full_http: httpx.Client) -> None:
    with Sandbox.opened(full_http) as first, Sandbox.opened(full_http) as second:
        (file,) = first.succeeds("echo kept > kept.csv")["files"]
        kubectl.out("delete", "codesessions", first.session, "-n", FULL.sandboxes)
        reference = {key: file[key] for key in ("id", "storage_session_id", "name")}
        assert second.succeeds("cat kept.csv", files=[reference])["stdout"] == "kept\n"
        assert second.session != first.session


def test_nothing_of_tmp_is_an_output_or_seen_by_another_session(sandbox: Sandbox, another: Sandbox) -> None:
    assert names(sandbox.succeeds("echo secret-4711 > /tmp/scratch.txt")) == []
    assert another.run("cat /tmp/scratch.txt")["exit_code"] == 1


def test_there_is_no_network(sandbox: Sandbox) -> None:
    code = """
import socket
for host in ("93.184.215.14", "10.96.0.1", "169.254.169.254", "example.org"):
    try:
        socket.create_connection((host, 443), timeout=3)
        print(host, "answers")
    except OSError:
        pass
"""
    assert sandbox.succeeds(code, "py")["stdout"] == ""


def test_each_call_is_a_new_process_without_the_variables_of_before(sandbox: Sandbox) -> None:
    first = sandbox.succeeds("import os; x = 1; print(os.getpid())", "py")
    second = sandbox.run("import os; print(os.getpid()); print(x)", "py")
    assert second["stdout"] != first["stdout"]
    assert "NameError" in second["stderr"]
    sandbox.succeeds("y=1; export y; cd /")
    assert sandbox.succeeds("echo ${y-unset} $PWD")["stdout"] == "unset /mnt/data\n"


def test_only_what_is_printed_is_answered(sandbox: Sandbox) -> None:
    assert sandbox.succeeds("6 * 7", "py")["stdout"] == ""
    assert sandbox.succeeds("6 * 7;", "js")["stdout"] == ""
    assert sandbox.succeeds("print(6 * 7)", "py")["stdout"] == "42\n"


def test_files_are_shown_by_the_application_and_no_link_is_needed(sandbox: Sandbox) -> None:
    answer = sandbox.succeeds("echo a,b > shown.csv; echo done")
    assert answer["stdout"] == "done\n"
    assert not re.search(r"https?://|sandbox:|/download/", str(answer))
    assert sandbox.content(answer, "shown.csv") == b"a,b\n"
    sandbox.succeeds("rm shown.csv")


def test_matplotlib_saves_by_savefig(sandbox: Sandbox) -> None:
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 4, 2])\nplt.savefig('/mnt/data/plot.png')"
    answer = sandbox.succeeds(code, "py")
    assert names(answer) == ["plot.png"]
    assert sandbox.content(answer, "plot.png").startswith(b"\x89PNG")
    sandbox.succeeds("rm plot.png")


def test_r_draws_by_cairo(sandbox: Sandbox) -> None:
    code = """
library(Cairo)
CairoPNG("/mnt/data/r.png", width = 400, height = 300)
plot(c(1, 4, 2), main = "é")
invisible(dev.off())
CairoPDF("/mnt/data/r.pdf"); plot(1); invisible(dev.off())
"""
    answer = sandbox.succeeds(code, "r")
    assert names(answer) == ["r.pdf", "r.png"]
    assert sandbox.content(answer, "r.png").startswith(b"\x89PNG")
    assert sandbox.content(answer, "r.pdf").startswith(b"%PDF")
    sandbox.succeeds("rm r.png r.pdf")


def test_earlier_files_may_be_changed_in_place(sandbox: Sandbox) -> None:
    sandbox.succeeds("echo one > notes.txt")
    answer = sandbox.succeeds("f = open('notes.txt', 'a'); f.write('two\\n'); f.close()", "py")
    assert names(answer) == ["notes.txt"]
    assert sandbox.content(answer, "notes.txt") == b"one\ntwo\n"
    sandbox.succeeds("rm notes.txt")


def test_bash_writes_files_by_heredoc_and_printf(sandbox: Sandbox) -> None:
    code = "cat > here.txt <<'EOF'\n$HOME é\nEOF\nprintf '%s\\n' two >> here.txt; cat here.txt; rm here.txt"
    assert sandbox.succeeds(code)["stdout"] == "$HOME é\ntwo\n"


def test_bash_runs_python_by_c_and_by_heredoc(sandbox: Sandbox) -> None:
    code = "python3 -c 'print(6 * 7)'\npython3 - <<'EOF'\nimport numpy\nprint(numpy.arange(3).sum())\nEOF"
    assert sandbox.succeeds(code)["stdout"] == "42\n3\n"


def test_a_stateful_profile_has_the_same_machine_and_fresh_processes(sandbox: Sandbox) -> None:
    first = sandbox.succeeds("echo here > /tmp/machine.txt; z=1; echo $$")
    second = sandbox.succeeds("cat /tmp/machine.txt; echo ${z-unset}")
    assert second["session_id"] == first["session_id"]
    assert second["stdout"] == "here\nunset\n"


def test_images_of_every_extension_that_the_summary_counts_are_outputs(sandbox: Sandbox) -> None:
    code = """
import subprocess, sys
from PIL import Image
for suffix in sys.argv[1:]:
    if suffix == "avif":  # newer than the distribution's Pillow
        subprocess.run("ffmpeg -v error -f lavfi -i color=s=32x32 -frames:v 1 image.avif".split(), check=True)
    else:
        Image.new("RGB", (32, 32), "red").save(f"image.{suffix}")
"""
    answer = sandbox.succeeds(code, "py", args=IMAGES)
    assert names(answer) == sorted(f"image.{suffix}" for suffix in IMAGES)
    sandbox.succeeds("rm image.*")


def test_inputs_that_are_left_alone_are_not_counted_as_made(
    full_http: httpx.Client, sandbox: Sandbox
) -> None:
    stored = full_http.post(
        "/upload", files={"file": ("given.csv", b"a,b\n")}, data={"kind": "user", "id": "u"}
    )
    upload = stored.raise_for_status().json()
    file = {
        "id": upload["files"][0]["fileId"],
        "storage_session_id": upload["storage_session_id"],
        "name": "given.csv",
        "kind": "user",
        "resource_id": "u",
    }
    answer = sandbox.succeeds("cat given.csv; echo x > made.csv", files=[file])
    assert answer["stdout"] == "a,b\n"
    assert names(answer) == ["made.csv"]
