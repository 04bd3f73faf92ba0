"""Which addresses answer: all are asked at once, and given the same few seconds.

Its argument is a JSON list of [protocol, host, port]. What only the sandbox knows is added: its name servers,
its gateways and the address that the environment gives of the API server.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import socket
import struct
import sys
import threading
import time

SECONDS = 3.0
NOWHERE = ("tcp", "203.0.113.253", 443)
"""An address of the documentation range, which nobody has: what is said of it is said by the way there."""
NAMES = ("kubernetes.default.svc.cluster.local", "one.one.one.one")
QUERY = (
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    + b"".join(bytes([len(label)]) + label for label in b"kubernetes.default.svc.cluster.local".split(b"."))
    + b"\x00\x00\x01\x00\x01"
)
ECHO = struct.pack("!BBHHH", 8, 0, 0xF7FE, 0, 1)
NODE_PORTS = (22, 80, 443, 2379, 6443, 10250, 10255)

Address = tuple[str, str, int]


class Asked:
    """One address. `outcome` is reached, refused, silent, or the name of an error."""

    def __init__(self, line: socket.socket, address: Address) -> None:
        protocol, host, port = address
        self.line = line
        self.question = {"udp": QUERY, "icmp": ECHO}.get(protocol)
        self.outcome = "silent"
        self._settle(line.connect_ex((host, port)))
        if self.question is not None and self.outcome == "silent":
            self._send(self.question)

    @property
    def events(self) -> int:
        return select.POLLOUT if self.question is None else select.POLLIN

    def happened(self) -> None:
        """The socket is ready."""
        number = self.line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number or self.question is None:
            self._settle(number)
            return
        try:
            self.outcome = "reached" if self.line.recv(512) else "silent"
        except OSError as error:
            self._settle(error.errno)

    def _send(self, question: bytes) -> None:
        try:
            self.line.send(question)
        except OSError as error:
            self._settle(error.errno)

    def _settle(self, number: int | None) -> None:
        if number == 0 and self.question is None:
            self.outcome = "reached"
        elif number not in (0, errno.EINPROGRESS, errno.EAGAIN):
            self.outcome = "refused" if number == errno.ECONNREFUSED else name_of(number)


def ask(address: Address) -> Asked | str:
    """What became of it, where there is nothing to wait for."""
    protocol, host, _ = address
    try:
        line = opened(socket.AF_INET6 if ":" in host else socket.AF_INET, protocol)
    except OSError as error:
        return name_of(error.errno)
    line.setblocking(False)
    return Asked(line, address)


def opened(family: int, protocol: str) -> socket.socket:
    if protocol == "icmp":
        try:
            return socket.socket(family, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
        except OSError:
            return socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    return socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)


def name_of(number: int | None) -> str:
    return errno.errorcode.get(number or 0, str(number))


def asked(addresses: list[Address]) -> list[str]:
    """The outcome of each."""
    questions = [ask(address) for address in addresses]
    lines = {each.line.fileno(): each for each in questions if isinstance(each, Asked)}
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        poll = select.poll()
        waiting = [number for number, each in lines.items() if each.outcome == "silent"]
        if not waiting:
            break
        for number in waiting:
            poll.register(number, lines[number].events)
        for number, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            lines[number].happened()
    return [each.outcome if isinstance(each, Asked) else each for each in questions]


def works() -> bool:
    """Whether this program sees that something can be reached, where it can."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            return asked([("tcp", "127.0.0.1", server.getsockname()[1])]) == ["reached"]
    except OSError:
        return False


def name_servers() -> list[Address]:
    """But those of its own loopback."""
    hosts = [words[1] for words in lines("/etc/resolv.conf") if len(words) > 1 and words[0] == "nameserver"]
    return [
        (protocol, host, 53)
        for host in hosts[:4]
        if not host.startswith(("127.", "::1"))
        for protocol in ("udp", "tcp")
    ]


def gateways() -> list[Address]:
    """The way out by the routing table, and the first address beside its own."""
    routes = [words for words in lines("/proc/net/route")[1:] if len(words) > 2]
    hosts = [socket.inet_ntoa(struct.pack("<I", int(words[2], 16))) for words in routes if int(words[2], 16)]
    own = own_address()
    if own:
        hosts.append(f"{own.rpartition('.')[0]}.1")
    found = [host for host in dict.fromkeys(hosts) if host != own][:4]
    return [("tcp", host, port) for host in found for port in NODE_PORTS] + [
        ("icmp", host, 0) for host in found
    ]


def api_server() -> list[Address]:
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    return [("tcp", host, int(port))] if host and port.isdigit() else []


def own_address() -> str | None:
    """That on the way out; no packet is sent."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
            route.connect((NOWHERE[1], 9))
            return str(route.getsockname()[0])
    except OSError:
        return None


def lines(path: str) -> list[list[str]]:
    try:
        with open(path) as file:
            return [line.split() for line in file.read(65536).splitlines()]
    except OSError:
        return []


def resolved() -> list[str]:
    """A name server that drops questions is not waited for as long as the resolver would."""
    found: list[str] = []

    def resolve(name: str) -> None:
        with contextlib.suppress(OSError):
            socket.getaddrinfo(name, 443)
            found.append(name)

    threads = [threading.Thread(target=resolve, args=(name,), daemon=True) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    return sorted(found)


def main() -> None:
    groups: dict[str, list[Address]] = {
        name: [tuple(each) for each in group] for name, group in json.loads(sys.argv[1]).items()
    }
    groups.setdefault("dns", []).extend(name_servers())
    groups.setdefault("node", []).extend(gateways())
    groups.setdefault("api", []).extend(api_server())
    flat = [(name, address) for name, group in groups.items() for address in group]
    nowhere, *outcomes = asked([NOWHERE, *(address for _, address in flat)])
    facts = {
        "works": works(),
        "nowhere": nowhere,
        "own": own_address(),
        "resolved": resolved(),
        "asked": [
            {"group": name, "address": "{} {} {}".format(*address), "outcome": outcome}
            for (name, address), outcome in zip(flat, outcomes, strict=True)
        ],
    }
    print(json.dumps(facts))


main()
