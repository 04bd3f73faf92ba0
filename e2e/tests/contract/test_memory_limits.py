"""Programs that take too much memory, in every way: the run is ended and told so, its session lives on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.targets import Target
from e2e.tests.contract.test_limits import Attack, Tenant, tenant_of

ATTACKS = [
    Attack("asks for memory at once", "bytearray(1 << 40)", "OM", "Out of memory"),
    Attack(
        "takes memory bit by bit",
        "def take():\n    kept = []\n    while True: kept.append(b'x' * (1 << 24))\ntake()",
        "OM",
        "Out of memory",
    ),
    Attack(
        "takes memory in a program of another language",
        "head -c 3G /dev/zero | tail",
        "OM",
        "Out of memory",
        lang="bash",
    ),
    Attack(
        "takes memory in many processes",
        "import os, time\n"
        "for _ in range(8):\n"
        "    if not os.fork():\n"
        "        os.setsid()\n"
        "        kept = bytearray(200 << 20)\n"
        "        time.sleep(600)\n"
        "time.sleep(600)",
        "OM",
        "Out of memory",
    ),
    Attack(
        "takes memory that processes share",
        "import mmap, time\n"
        "kept = mmap.mmap(-1, 2 << 30)\n"
        "for n in range(512): kept[n << 22:(n + 1) << 22] = bytes(1 << 22)\n"
        "time.sleep(600)",
        "OM",
        "Out of memory",
    ),
    Attack(
        "fills /tmp",
        "trap 'rm /tmp/large*' EXIT; for n in {1..20}; do head -c 40M /dev/zero >/tmp/large$n || exit; done",
        "RE",
        "No space left",
        lang="bash",
    ),
]


@pytest.fixture(scope="module")
def attacker(target: Target) -> Iterator[Tenant]:
    with tenant_of(target, target.keys[0]) as tenant:
        yield tenant


@pytest.fixture(scope="module")
def neighbour(target: Target) -> Iterator[Tenant]:
    with tenant_of(target, target.keys[1]) as tenant:
        yield tenant


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_a_session_survives_what(attacker: Tenant, neighbour: Tenant, attack: Attack) -> None:
    ran = attacker.attack(attack)
    assert ran.get("status") == attack.status, ran["stderr"][-500:]
    assert attack.says in ran["stderr"][-500:]
    attacker.assert_undisturbed()
    neighbour.assert_undisturbed()


def test_files_in_memory_that_are_too_much_are_deleted_aloud(target: Target, neighbour: Tenant) -> None:
    """/dev/shm has a size of its own in the embedded default."""
    fill = (
        "import time\n"
        "for n in range(40): open(f'/dev/shm/{n}', 'wb').write(bytes(40 << 20))\n"
        "time.sleep(60)\n"
    )
    with tenant_of(target, target.keys[0]) as tenant:
        ran = tenant.run(fill)
        if ran["status"] == "RE":
            assert "No space left" in ran["stderr"]
        else:
            assert (ran["status"], "are deleted" in ran["stderr"]) == ("OM", True), ran
        again = tenant.run("print(1)")
        assert (again["stdout"], again["session_id"]) == ("1\n", tenant.session), again
    neighbour.assert_undisturbed()
