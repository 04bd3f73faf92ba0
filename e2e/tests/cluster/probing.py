"""The program by which `codesession probe` asks addresses, run in a sandbox and in a pod that may."""

from __future__ import annotations

import json
from typing import NamedTuple

import httpx

from codesession_api.probe.lab import Answer, facts, program
from codesession_api.probe.rows.network import Reach
from e2e.targets import kubectl
from e2e.targets.kubectl import Json


class Address(NamedTuple):
    """`protocol` is tcp, or udp for a name server."""

    protocol: str
    host: str
    port: int


INTERNET = Address("tcp", "1.1.1.1", 443)
METADATA = Address("tcp", "169.254.169.254", 80)


def from_sandbox(api: httpx.Client, addresses: dict[str, Address]) -> dict[str, bool]:
    """Which of them code of a user reaches."""
    request = {"lang": "py", "code": program("reach"), "args": [_asking(addresses)]}
    return _reached(Answer.model_validate(api.post("/exec", json=request).json()), addresses)


def from_pod(pod: Json, addresses: dict[str, Address]) -> dict[str, bool]:
    """Which of them a pod reaches that no policy is about."""
    where = ("-n", pod["metadata"]["namespace"], pod["metadata"]["name"])
    command = ("python3", "-c", program("reach"), _asking(addresses))
    return _reached(Answer(stdout=kubectl.out("exec", *where, "--", *command)), addresses)


def _asking(addresses: dict[str, Address]) -> str:
    return json.dumps({"named": [*addresses.values()]})


def _reached(answer: Answer, addresses: dict[str, Address]) -> dict[str, bool]:
    named = [entry.outcome == "reached" for entry in facts(Reach, answer).asked if entry.group == "named"]
    return dict(zip(addresses, named, strict=True))
