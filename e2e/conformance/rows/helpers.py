"""§4: the file tools of LibreChat since 0.8.6, which are bash programs posted to /exec."""

from __future__ import annotations

import base64
import json

from e2e.conformance import expect
from e2e.conformance.registry import requirement
from e2e.conformance.server import Server

_WINDOW = 32768
_WRITE = """python3 - <<'PY'
import base64, json, os
payload = "{payload}"
data = json.loads(base64.b64decode(payload))
path = data["path"]
content = base64.b64decode(data["content"])
os.makedirs(os.path.dirname(path), exist_ok=True)
with open(path, 'wb') as f:
    f.write(content)
print(f"WROTE {{len(content)}} bytes to {{path}}")
PY"""
_READ_WINDOW = """python3 - <<'PY'
import base64
with open({path!r}, 'rb') as f:
    f.seek({offset})
    print(base64.b64encode(f.read({size})).decode())
PY"""


@requirement("C-501", "§4", "read_file: cat of a quoted path gives the whole file")
def read(server: Server) -> None:
    file = server.upload("it's.txt", "päth\n".encode() * 30_000)
    ran = server.run("cat '/mnt/data/it'\\''s.txt'", files=[file])
    expect.same(ran["stdout"].encode(), "päth\n".encode() * 30_000, "stdout")


@requirement("C-502", "§4", "read_file of a missing file: stderr says No such file or directory")
def read_missing(server: Server) -> None:
    ran = server.run("cat '/mnt/data/never-made.txt'")
    expect.within("No such file or directory", ran["stderr"], "stderr")
    expect.same(ran["stdout"], "", "stdout")


@requirement("C-503", "§4", "create_file: a python3 heredoc writes, prints WROTE, and the file is an output")
def write(server: Server) -> None:
    path, content = "/mnt/data/new/x.txt", "hi ü"
    data = {"path": path, "content": base64.b64encode(content.encode()).decode()}
    payload = base64.b64encode(json.dumps(data).encode()).decode()
    ran = server.run(_WRITE.format(payload=payload))
    expect.same(ran["stdout"], f"WROTE {len(content.encode())} bytes to {path}\n", "stdout")
    expect.within("new/x.txt", [file["name"] for file in ran["files"]], "the outputs")


@requirement("C-504", "§4", "an image is read in base64 windows of 32 KiB")
def read_image(server: Server) -> None:
    image = bytes(range(256)) * 300
    file = server.upload("image.png", image)
    found = b""
    for offset in range(0, len(image), _WINDOW):
        code = _READ_WINDOW.format(path="/mnt/data/image.png", offset=offset, size=_WINDOW)
        found += base64.b64decode(server.run(code, files=[file])["stdout"])
    expect.that(found == image, f"{len(found)} bytes differ from the {len(image)} of the image")
