# ruff: noqa: S108  (paths of the sandbox, not of the host)
"""An installation for the probes that is as a test says: an HTTP server that knows each of their programs by
its text, and answers what that program would print in a sound installation, or in one without any wall."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from codesession_api.probe.lab import PROGRAMS
from codesession_api.probe.rows import limits, network

Json = dict[str, Any]

_SESSION, _FILE = "s" * 21, "f" * 21
_NAMES = {path.read_text(): path.stem for path in PROGRAMS.glob("*.py")}
_EMPTY = "0000000000000000"


def asked(outcome: str) -> list[Json]:
    """Every address that the sandbox is given, with one that it knows itself and one that was named."""
    groups = network.ADDRESSES | {
        "node": [("tcp", "10.0.0.1", 10250)],
        "named": [("tcp", "10.0.0.7", 6443)],
    }
    return [
        {"group": group, "address": "{} {} {}".format(*address), "outcome": outcome}
        for group, addresses in groups.items()
        for address in addresses
    ]


_ATTEMPTS = (
    "mount chroot pivot_root unshare_user unshare_mount setns mknod setuid bpf init_module finit_module "
    "kexec_load reboot swapon adjtimex sethostname io_uring_setup perf_event_open userfaultfd keyctl"
)


def attempts(outcome: str) -> dict[str, str]:
    return {name.replace("unshare_", "unshare "): outcome for name in _ATTEMPTS.split()}


SOUND: dict[str, Json] = {
    "privileges": {
        "gvisor": True,
        "log_bytes": 500,
        "version": "#1 SMP Sun Jan 10 15:06:54 PST 2016",
        "ids": [1000] * 6,
        "groups": [],
        "capabilities": {f"Cap{kind}": _EMPTY for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")},
        "no_new_privs": 1,
        "seccomp": 0,
        "attempts": attempts("EPERM"),
        "host_name": "sandbox",
        "time": 0.0,
        "zone": "UTC",
        "processes": 9,
        "is_own_namespace": True,
    },
    "own": {"address": "10.244.0.7", "name": "sandbox"},
    "files": {
        "mounts": [
            ["none", "/", "9p", "ro,directfs"],
            ["none", "/dev", "dev", "rw,mode=0755"],
            ["none", "/mnt/data", "9p", "rw,nosuid"],
        ],
        "written": ["/mnt/data", "/tmp"],
        "refused": {"/": "EROFS", "/etc": "EROFS"},
        "settings": [],
        "present": [],
        "devices": {"null": "c+", "fuse": "c+", "net/tun": "c+", "pts/ptmx": "c+"},
        "disks": [],
    },
    "secrets": {"names": ["HOME", "PATH"], "secret": []},
    "runner": {
        "others": 9,
        "traced": [],
        "memory": [],
        "descriptors": [],
        "sockets": {"/run/codesession/runner.sock": "closed"},
    },
    "reach": {
        "works": True,
        "nowhere": "silent",
        "own": "10.244.0.7",
        "resolved": [],
        "asked": asked("silent"),
    },
    "neighbour": {"seconds": 6.0, "listened": True, "peers": []},
    "search": {"files": [], "processes": [], "shared": [], "sockets": [], "reached": []},
    "leave": {"files": ["/tmp"], "process": 17},
}
"""What each program prints where every wall stands."""

OPEN: dict[str, Json] = {
    "privileges": SOUND["privileges"]
    | {
        "gvisor": False,
        "log_bytes": 9000,
        "version": "#1 SMP PREEMPT_DYNAMIC",
        "ids": [0] * 6,
        "capabilities": {"CapInh": _EMPTY, "CapPrm": _EMPTY, "CapEff": "000001ffffffffff", "CapBnd": _EMPTY},
        "no_new_privs": 0,
        "attempts": attempts("done"),
        "host_name": "node-7",
        "zone": "CET",
        "processes": 212,
        "is_own_namespace": False,
    },
    "own": {"address": "10.244.0.7", "name": "node-7"},
    "files": {
        "mounts": [["/dev/sda1", "/host", "ext4", "rw,relatime"]],
        "written": ["/etc"],
        "refused": {},
        "settings": ["/proc/sys/kernel/core_pattern"],
        "present": [
            "/var/lib/kubelet",
            "/run/containerd/containerd.sock",
            "/var/run/secrets/kubernetes.io",
        ],
        "devices": {"sda": "b", "kvm": "c+"},
        "disks": ["sda"],
    },
    "secrets": {"names": ["KUBERNETES_SERVICE_HOST", "S3_SECRET_KEY"], "secret": ["HARMLESS"]},
    "runner": {
        "others": 9,
        "traced": [1],
        "memory": [1],
        "descriptors": [1],
        "sockets": {"/run/codesession/runner.sock": "greeted"},
    },
    "reach": SOUND["reach"] | {"resolved": ["one.one.one.one"], "asked": asked("reached")},
    "neighbour": {"seconds": 6.0, "listened": True, "peers": ["10.244.0.8"]},
    "search": {
        "files": ["/tmp/mark"],
        "processes": [17],
        "shared": ["shm"],
        "sockets": ["mark"],
        "reached": ["10.244.0.7 18473"],
    },
    "leave": {"files": ["/tmp"], "process": 17},
}
"""And where none does."""

_RUNS: dict[str, Json] = {
    "memory": {"stdout": '{"mib": 832}\n'},
    "processes": {"stdout": "", "status": "SG", "stderr": "killed: more than 128 processes"},
    "file": {"stdout": '{"why": "EFBIG", "limit": 52428800}\n'},
    "output": {"stdout": "x" * 1000, "status": "OL", "stderr": "Output limit exceeded"},
    "seconds": {"stdout": "", "status": "TO", "stderr": "Time limit exceeded"},
}
_UNENDED: dict[str, Json] = {
    "memory": {"stdout": '{"mib": 4096}\n'},
    "processes": {"stdout": '{"processes": 1000, "why": null}\n'},
    "file": {"stdout": '{"why": null, "limit": -1}\n'},
    "output": {"stdout": "x" * limits.OUTPUT},
    "seconds": {"stdout": '{"slept": 30}\n'},
}


class Installation(ThreadingHTTPServer):
    """`documents` by the program that prints them; `says` is put in the place of every run's answer.
    `isolation` is that of /health, which is 404 without it."""

    def __init__(self, documents: dict[str, Json], *, walls: bool, isolation: str | None, says: bytes | None):
        super().__init__(("127.0.0.1", 0), _Answers)
        self.documents = documents
        self.walls = walls
        self.isolation = isolation
        self.says = says
        self.ended: list[str] = []
        """Paths of the sessions that were deleted."""

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def run(self, request: Json, key: str) -> Json:
        """The answer to /exec."""
        name = _NAMES.get(request["code"])
        if name == "limits":
            found = (_RUNS if self.walls else _UNENDED)[request["args"][0]]
        elif name is None:
            found = self._line(request, key)
        else:
            found = {"stdout": json.dumps(self._document(name))}
        return {"session_id": self._session(request, key), "stderr": "", "files": []} | found

    def _session(self, request: Json, key: str) -> str:
        theirs = "o" * 21 if key == "bob" else _SESSION
        return request.get("session_id", theirs) if not self.walls else theirs

    def _document(self, name: str) -> Json:
        # A clock that is right in both worlds would leave nothing to say of it.
        right = {"time": time.time()} if name == "privileges" and self.walls else {}
        return self.documents[name] | right

    def _line(self, request: Json, key: str) -> Json:
        """Of one of the short programs of two tenants."""
        if written := re.match(r"open\('([\w-]+)'", request["code"]):
            return {"stdout": "1\n", "files": [{"id": _FILE, "name": written[1]}]}
        return {"stdout": "1\n" if "exists" not in request["code"] else f"{not self.walls}\n"}


class _Answers(BaseHTTPRequestHandler):
    server: Installation

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.run(request, self.headers.get("X-API-Key", ""))
        self._answer(200, self.server.says or json.dumps(answer).encode())

    def do_GET(self) -> None:
        if self.path.endswith("/health"):
            told = self.server.isolation is not None
            self._answer(200 if told else 404, json.dumps({"isolation": self.server.isolation}).encode())
        else:
            self._answer(*((404, b"{}") if self.server.walls else (200, _FILE.encode())))

    def do_DELETE(self) -> None:
        self.server.ended.append(self.path)
        own = self.headers.get("X-API-Key") != "bob" or not self.server.walls
        self._answer(200 if own else 404, b"{}")

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)


@contextlib.contextmanager
def installation(
    documents: dict[str, Json] = SOUND,
    *,
    walls: bool = True,
    isolation: str | None = "gvisor",
    says: bytes | None = None,
) -> Iterator[Installation]:
    with Installation(documents, walls=walls, isolation=isolation, says=says) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
