"""The names of environment variables, and of those whose values look like secrets; never the values."""

from __future__ import annotations

import json
import os
import re

MOST = 400
SECRET = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}"
    rb"|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_\w{30,}|\bsk-[\w-]{20,}"
)


def environments() -> dict[bytes, bytes]:
    """Of this process and of all whose environment can be read."""
    found = dict(os.environb)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                content = file.read(1 << 20)
        except OSError:
            continue
        for entry in content.split(b"\0"):
            name, separator, value = entry.partition(b"=")
            if separator:
                found.setdefault(name, value)
    return found


def main() -> None:
    found = environments()
    facts = {
        "names": sorted(name.decode(errors="replace")[:100] for name in found)[:MOST],
        "secret": sorted(name.decode(errors="replace")[:100] for name in found if SECRET.search(found[name]))[
            :MOST
        ],
    }
    print(json.dumps(facts))


main()
