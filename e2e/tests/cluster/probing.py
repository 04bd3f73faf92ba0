"""One program that tries to reach addresses, run in a sandbox and in a pod that may reach them."""

from __future__ import annotations

import json
from typing import NamedTuple

import httpx

from e2e.targets import kubectl
from e2e.targets.kubectl import Json

_PROGRAM = r"""
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

QUERY = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + b"".join(
    bytes([len(label)]) + label for label in b"kubernetes.default.svc.cluster.local".split(b".")
) + b"\x00\x00\x01\x00\x01"

def reached(address):
    protocol, host, port = address
    try:
        if protocol == "tcp":
            socket.create_connection((host, port), timeout=4).close()
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(4)
                s.sendto(QUERY, (host, port))
                s.recv(512)
    except OSError:
        return False
    return True

addresses = json.loads(sys.argv[1])
with ThreadPoolExecutor(len(addresses)) as pool:
    print(json.dumps(list(pool.map(reached, addresses))))
"""


class Address(NamedTuple):
    """`protocol` is tcp, or udp for a name server."""

    protocol: str
    host: str
    port: int


INTERNET = Address("tcp", "1.1.1.1", 443)
METADATA = Address("tcp", "169.254.169.254", 80)


def from_sandbox(api: httpx.Client, addresses: dict[str, Address]) -> dict[str, bool]:
    """Which of them code of a user reaches."""
    request = {"lang": "py", "code": _PROGRAM, "args": [json.dumps(list(addresses.values()))]}
    answer = api.post("/exec", json=request).json()
    assert answer["exit_code"] == 0, answer["stderr"]
    return dict(zip(addresses, json.loads(answer["stdout"]), strict=True))


def from_pod(pod: Json, addresses: dict[str, Address]) -> dict[str, bool]:
    """Which of them a pod reaches that no policy is about."""
    where = ("-n", pod["metadata"]["namespace"], pod["metadata"]["name"])
    command = ("python3", "-c", _PROGRAM, json.dumps(list(addresses.values())))
    return dict(zip(addresses, json.loads(kubectl.out("exec", *where, "--", *command)), strict=True))
