"""The addresses and the name by which this sandbox would be found."""

from __future__ import annotations

import json
import socket


def address() -> str | None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
            route.connect(("203.0.113.253", 9))
            return str(route.getsockname()[0])
    except OSError:
        return None


print(json.dumps({"address": address(), "name": socket.gethostname()}))
