"""Programs that go past every limit: each is told which, and no other tenant is disturbed.

Memory is in `test_memory_limits`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from e2e.targets import Target

pytestmark = pytest.mark.sandbox

MIB = 1 << 20
LOST = "The sandbox was lost"
PATIENCE = 150


@dataclass(frozen=True, slots=True)
class Attack:
    """A program, and what the answer must be: its `status`, and words that are in `stderr`."""

    name: str
    code: str
    status: str | None
    says: str = ""
    lang: str = "py"
    timeout: int | None = None
    """Milliseconds."""


SURVIVED = [
    Attack("sleeps", "import time; time.sleep(600)", "TO", "Time limit exceeded", timeout=1000),
    Attack("is busy", "while True: pass", "TO", "Time limit exceeded", timeout=1000),
    Attack("is busy in C", "10 ** 10 ** 9", "TO", "Time limit exceeded", timeout=1000),
    Attack(
        "is deaf to SIGTERM",
        "trap '' TERM; while :; do sleep 600; done",
        "TO",
        "Time limit exceeded",
        lang="bash",
        timeout=1000,
    ),
    Attack(
        "stops itself",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
        "TO",
        "Time limit exceeded",
        timeout=1000,
    ),
    Attack(
        "forks on and on",
        ": >forks; f() { (f) & (f) & wait; }; f",
        "SG",
        "killed: more than 128 processes",
        lang="bash",
    ),
    Attack(
        "starts too many detached processes",
        "for n in {1..400}; do setsid sleep 600 & done; sleep 600",
        "SG",
        "killed: more than 128 processes",
        lang="bash",
    ),
    Attack("prints 1 GB", "for _ in range(1000): print('x' * 10**6)", "OL", "Output limit exceeded"),
    Attack("prints without end to stderr", "yes >&2", "OL", "Output limit exceeded", "bash"),
    Attack("prints bytes", "import sys; sys.stdout.buffer.write(bytes(range(256)) * 100)", None),
    Attack("closes its streams", "import os\nfor n in range(3): os.close(n)", None),
    Attack("prints to a closed stdout", "exec >&-; echo x", "RE", "Bad file descriptor", "bash"),
    Attack("breaks its pipe", "yes | head -1", None, lang="bash"),
    Attack(
        "writes a file that is too large",
        "import os\ntry: open('large', 'wb', 0).write(bytes(60 << 20)); open('large', 'ab', 0).write(b'x')\n"
        "finally: os.unlink('large')",
        "RE",
        "File too large",
    ),
    Attack(
        "opens too many files", "kept = [open('/dev/null') for _ in range(5000)]", "RE", "Too many open files"
    ),
    Attack("kills itself", "kill -KILL $$", "SG", "SIGKILL", "bash"),
    Attack("ends itself", "import os; os.kill(os.getpid(), 15)", "SG", "SIGTERM"),
    Attack("breaks off", "import os; os.abort()", "SG", "SIGABRT"),
    Attack("touches what is not there", "import ctypes; ctypes.string_at(0)", "SG", "SIGSEGV"),
]

FATAL = [
    Attack("kills all that it may", "import os; os.kill(-1, 9)", None),
    Attack(
        "kills every process by its number",
        "import os\n"
        "for pid in sorted(int(name) for name in os.listdir('/proc') if name.isdigit()):\n"
        "    try:\n"
        "        if pid != os.getpid(): os.kill(pid, 9)\n"
        "    except OSError: pass\n",
        None,
    ),
    Attack(
        "fakes the runner",
        "import os, socket\n"
        "for number in range(3, 64):\n"
        "    try: os.write(number, b'\\xff' * 4096)\n"
        "    except OSError: pass\n"
        "for directory in ('/run/codesession', '/proc/1/fd', f'/proc/{os.getppid()}/fd'):\n"
        "    try: names = os.listdir(directory)\n"
        "    except OSError: continue\n"
        "    for name in names:\n"
        "        try: open(f'{directory}/{name}', 'wb', 0).write(b'\\xff' * 4096)\n"
        "        except OSError: pass\n"
        "try:\n"
        "    os.unlink('/run/codesession/runner.sock')\n"
        "    server = socket.socket(socket.AF_UNIX)\n"
        "    server.bind('/run/codesession/runner.sock')\n"
        "    server.listen()\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        while True: server.accept()[0].sendall(b'\\xff' * 4096)\n"
        "except OSError: pass\n",
        None,
    ),
]


class Tenant:
    """A client, and the session that it has."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self.session: str | None = None

    def run(self, code: str, lang: str = "py", **more: Any) -> dict[str, Any]:
        body = {"code": code, "lang": lang, "session_id": self.session, **more}
        answer = self._http.post("/v1/exec", json={name: value for name, value in body.items() if value})
        assert answer.status_code == 200, answer.text
        ran: dict[str, Any] = answer.json()
        return ran

    def attack(self, attack: Attack) -> dict[str, Any]:
        return self.run(attack.code, attack.lang, timeout=attack.timeout)

    def begin(self) -> None:
        """A session with a secret in its memory file system, so that it would show if it were made anew."""
        self.session = self.run("open('/dev/shm/mine', 'w').write('x')")["session_id"]

    def assert_undisturbed(self) -> None:
        ran = self.run("print(open('/dev/shm/mine').read())")
        assert (ran["session_id"], ran["stdout"], ran.get("status")) == (self.session, "x\n", None), ran


@contextlib.contextmanager
def tenant_of(target: Target, key: str) -> Iterator[Tenant]:
    with httpx.Client(
        base_url=target.url, headers={"X-API-Key": key}, timeout=PATIENCE, trust_env=False
    ) as http:
        tenant = Tenant(http)
        tenant.begin()
        yield tenant


@pytest.fixture(scope="module")
def attacker(target: Target) -> Iterator[Tenant]:
    """Its session takes one attack after another."""
    with tenant_of(target, target.keys[0]) as tenant:
        yield tenant


@pytest.fixture(scope="module")
def neighbour(target: Target) -> Iterator[Tenant]:
    with tenant_of(target, target.keys[1]) as tenant:
        yield tenant


@pytest.mark.parametrize("attack", SURVIVED, ids=lambda attack: attack.name)
def test_a_session_survives_what(attacker: Tenant, neighbour: Tenant, attack: Attack) -> None:
    ran = attacker.attack(attack)
    assert ran.get("status") == attack.status, ran["stderr"][-500:]
    assert attack.says in ran["stderr"]  # where two hundred processes complain, not at its end
    attacker.assert_undisturbed()
    neighbour.assert_undisturbed()


@pytest.mark.parametrize("attack", FATAL, ids=lambda attack: attack.name)
def test_at_most_its_own_session_is_lost_by_what(target: Target, neighbour: Tenant, attack: Attack) -> None:
    """Where the runner is the first process of the sandbox, it cannot be killed, and the session lives on."""
    with tenant_of(target, target.keys[0]) as tenant:
        ran = tenant.attack(attack)
        assert ran.get("status") in (None, "RE", "SG", "TO")
        again = tenant.run("print(1)")
        assert again["stdout"] == "1\n" or LOST in again["stderr"], again
        assert again["session_id"] == tenant.session or LOST in ran["stderr"] + again["stderr"], ran
        assert tenant.run("print(1)")["stdout"] == "1\n"
    neighbour.assert_undisturbed()


def test_output_up_to_a_mebibyte_is_whole(attacker: Tenant) -> None:
    ran = attacker.run(f"import sys; sys.stdout.write('x' * {MIB}); sys.stderr.write('y' * {MIB})")
    assert (len(ran["stdout"]), len(ran["stderr"]), ran.get("status")) == (MIB, MIB, None)


def test_output_that_is_cut_holds_what_came_before(attacker: Tenant) -> None:
    ran = attacker.run("print('first')\nwhile True: print('x' * 1000)")
    assert ran["stdout"].startswith("first\n")
    assert len(ran["stdout"]) == MIB


REMAINS = """
import os
names = []
for pid in filter(str.isdigit, os.listdir('/proc')):
    try: names.append(open(f'/proc/{pid}/comm').read().strip())
    except OSError: pass
print(names.count('sleep'), names.count('orphan'))
"""


@pytest.mark.parametrize(
    "code",
    [
        "setsid sleep 600 & disown",
        "(setsid sh -c 'trap \"\" TERM; sleep 600 & sleep 600' &) &",
        "sleep 600 & kill -STOP $!",
        "exec >&- 2>&-; setsid sleep 600 &",
    ],
)
def test_what_is_left_running_ends_with_the_run(attacker: Tenant, neighbour: Tenant, code: str) -> None:
    assert attacker.run(code, "bash").get("status") is None
    assert attacker.run(REMAINS)["stdout"] == "0 0\n"
    neighbour.assert_undisturbed()


def test_orphans_are_reaped(attacker: Tenant) -> None:
    ran = attacker.run(
        "import os\n"
        "if not os.fork():\n"
        "    for _ in range(50):\n"
        "        if not os.fork():\n"
        "            open('/proc/self/comm', 'w').write('orphan'); os._exit(0)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    assert ran.get("status") is None, ran
    assert attacker.run(REMAINS)["stdout"] == "0 0\n"


def test_a_full_workspace_can_be_emptied_and_not_written_to(target: Target, neighbour: Tenant) -> None:
    """Its files are no outputs, and in a directory that its owner has closed."""
    fill = (
        "import os, time\n"
        "os.mkdir('__pycache__')\n"
        "closed = os.open('__pycache__', os.O_RDONLY)\n"
        "os.fchdir(closed)\n"
        "for n in range(30):\n"
        "    os.fchmod(closed, 0o700)\n"
        "    file = os.open(str(n), os.O_WRONLY | os.O_CREAT)\n"
        "    os.fchmod(closed, 0)\n"
        "    os.write(file, bytes(40 << 20)); os.close(file)\n"
        "time.sleep(60)\n"
    )
    with tenant_of(target, target.keys[0]) as tenant:
        ran = tenant.run(fill)
        assert (ran.get("status") in ("SG", "RE"), "workspace is full" in ran["stderr"]) == (True, True), ran
        ran = tenant.run("head -c 1000000 /dev/zero > more && echo written", "bash")
        assert (ran["stdout"], "workspace is full" in ran["stderr"]) == ("", True), ran
        assert (
            tenant.run("chmod 700 __pycache__; rm -r __pycache__ && echo gone", "bash")["stdout"] == "gone\n"
        )
        ran = tenant.run("echo x > more && cat more", "bash")
        assert (ran["stdout"], ran["stderr"]) == ("x\n", "")
        tenant.assert_undisturbed()
    neighbour.assert_undisturbed()


def test_files_past_the_limit_are_counted_aloud(target: Target, neighbour: Tenant) -> None:
    with tenant_of(target, target.keys[0]) as tenant:
        ran = tenant.run("for n in range(1010): open(f'{n}', 'w')")
        assert len(ran["files"]) <= 1000
        assert "10 " in ran["stderr"], ran["stderr"]
        tenant.assert_undisturbed()
    neighbour.assert_undisturbed()
