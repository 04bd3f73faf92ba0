"""What each judge says: of facts as they are where every wall stands, but for what a row changes."""

from __future__ import annotations

from typing import Any

import pytest

from codesession_api.probe.cli import PROBES
from codesession_api.probe.finding import Result, shown
from codesession_api.probe.lab import Answer, Facts, NoFactsError, facts
from codesession_api.probe.rows.files import Files, Variables
from codesession_api.probe.rows.limits import Attack
from codesession_api.probe.rows.neighbours import Leftovers, Neighbours, Tenants
from codesession_api.probe.rows.network import Reach
from codesession_api.probe.rows.privileges import Privileges
from codesession_api.probe.rows.runner import Runner
from codesession_api.probe.suite import judged
from probed import SOUND, Json, asked

BY_ID = {probe.id: probe for probe in PROBES}
HELD: Result = "held"
BROKEN: Result = "broken"
UNTOLD: Result = "cannot be told"

Row = tuple[str, Json, Result, str]


def rows(*given: Row) -> pytest.MarkDecorator:
    """Of a probe's id, what is otherwise, the result, and a part of the observation."""
    ids = [f"{row[0]} {row[2]}: {row[3]}" for row in given]
    return pytest.mark.parametrize(("number", "change", "result", "says"), given, ids=ids)


def check(number: str, seen: Facts, result: Result, says: str) -> None:
    found = judged(BY_ID[number], seen)
    assert (found.result, says in found.observation) == (result, True), found


LINUX = {"gvisor": False, "log_bytes": None, "version": "#1 SMP Debian"}
ALL_REFUSED = SOUND["privileges"]["attempts"]

PRIVILEGES: tuple[Row, ...] = (
    ("K-1", {}, HELD, "says gvisor; the kernel is gVisor"),
    ("K-1", LINUX, BROKEN, "says gvisor, but the kernel is Linux #1 SMP Debian"),
    ("K-1", {"isolation": "bubblewrap"} | LINUX, HELD, "says bubblewrap"),
    ("K-1", {"isolation": "bubblewrap", "is_own_namespace": False} | LINUX, BROKEN, "not its own"),
    ("K-1", {"isolation": "none"}, BROKEN, "there is none"),
    ("K-1", {"isolation": None}, UNTOLD, "does not tell"),
    ("K-1", {"isolation": "magic"}, UNTOLD, "magic, which is not known"),
    ("K-2", {}, HELD, "gVisor's own"),
    ("K-2", LINUX, HELD, "may not be read"),
    ("K-2", LINUX | {"log_bytes": 9}, BROKEN, "9 bytes of the host's"),
    ("K-3", {}, HELD, "gVisor answers"),
    ("K-3", LINUX | {"seccomp": 2}, HELD, "seccomp filter is in force"),
    ("K-3", LINUX | {"seccomp": 0}, BROKEN, "no seccomp filter"),
    ("K-4", {}, HELD, "5 tried, all refused"),
    ("K-4", {"attempts": ALL_REFUSED | {"keyctl": "done"}}, HELD, "gVisor's own, not its host's: keyctl"),
    ("K-4", LINUX | {"attempts": ALL_REFUSED | {"keyctl": "done"}}, BROKEN, "keyctl (done)"),
    ("K-4", {"attempts": {}}, UNTOLD, "not tried"),
    ("P-1", {}, HELD, "user 1000, group 1000"),
    ("P-1", {"ids": [1000, 0, 1000, 1000, 1000, 1000]}, BROKEN, "user 1000"),
    ("P-1", LINUX | {"groups": [1000, 0]}, BROKEN, "groups 1000, 0"),
    ("P-1", {"ids": [0] * 6}, UNTOLD, "not seen from inside"),
    ("P-1", LINUX | {"ids": [0] * 6}, BROKEN, "user 0"),
    ("P-2", {}, HELD, "all sets are empty"),
    (
        "P-2",
        {"capabilities": dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd"), "01")},
        BROKEN,
        "CapBnd",
    ),
    ("P-2", {"capabilities": {}}, UNTOLD, "does not list"),
    ("P-3", {}, HELD, "set"),
    ("P-3", {"no_new_privs": 0}, BROKEN, "not set"),
    ("P-4", {}, HELD, "7 tried"),
    ("P-4", {"attempts": ALL_REFUSED | {"chroot": "done"}}, BROKEN, "chroot (done)"),
    ("P-4", {"attempts": ALL_REFUSED | {"pivot_root": "EBUSY"}}, BROKEN, "pivot_root (EBUSY)"),
    ("P-5", {}, HELD, "8 tried"),
    ("P-5", {"attempts": ALL_REFUSED | {"reboot": "EINVAL"}}, BROKEN, "reboot (EINVAL)"),
    ("P-5", {"attempts": {"bpf": "EPERM"}}, UNTOLD, "not tried"),
    ("P-6", {}, HELD, "9 processes"),
    ("P-6", {"processes": 300}, BROKEN, "300 processes"),
    ("P-6", {"is_own_namespace": False}, BROKEN, "kernel threads"),
    ("P-7", {}, HELD, "called sandbox"),
    ("P-7", {"host_name": "s" * 21}, HELD, "sss"),
    ("P-7", {"host_name": "pod-1"}, HELD, "and another one sandbox"),
    ("P-7", {"host_name": "node-1", "other_name": "node-1"}, BROKEN, "both called node-1"),
    ("P-8", {}, HELD, "UTC, 3 s"),
    ("P-8", {"zone": "CET"}, BROKEN, "CET"),
    ("P-8", {"time": 9000.0}, BROKEN, "s off"),
    ("P-8", {"attempts": ALL_REFUSED | {"adjtimex": "done"}}, BROKEN, "set the clock"),
)


@rows(*PRIVILEGES)
def test_privileges(number: str, change: Json, result: Result, says: str) -> None:
    outer = {"isolation": "gvisor", "session": "s" * 21, "other_name": "sandbox", "clock": 3.0}
    outer |= {name: value for name, value in change.items() if name in outer}
    inner = SOUND["privileges"] | {name: value for name, value in change.items() if name not in outer}
    check(number, Privileges.model_validate(outer | {"seen": inner}), result, says)


FILES: tuple[Row, ...] = (
    ("F-1", {}, HELD, "2 directories refuse"),
    ("F-1", {"written": ["/mnt/data", "/etc"]}, BROKEN, "write to /etc"),
    ("F-1", {"settings": ["/proc/sysrq-trigger"]}, BROKEN, "sysrq"),
    ("F-1", {"written": [], "refused": {}}, UNTOLD, "no directory"),
    ("F-2", {}, HELD, "3 mounts"),
    ("F-2", {"mounts": [["/dev/sda1", "/data", "ext4", "rw"]]}, BROKEN, "/data (ext4 /dev/sda1)"),
    ("F-2", {"mounts": [["none", "/host", "9p", "rw"]]}, BROKEN, "/host (9p none)"),
    ("F-2", {"mounts": [["/dev/sda1", "/usr", "ext4", "ro"]]}, HELD, "1 mounts"),
    ("F-2", {"mounts": []}, UNTOLD, "no mounts"),
    ("F-3", {}, HELD, "none of"),
    ("F-3", {"present": ["/etc/kubernetes"]}, BROKEN, "/etc/kubernetes"),
    ("F-4", {}, HELD, "none of"),
    ("F-4", {"present": ["/var/run/docker.sock"]}, BROKEN, "docker.sock"),
    ("F-5", {}, HELD, "none"),
    ("F-5", {"devices": {"vda": "b"}}, BROKEN, "/dev/vda"),
    ("F-5", {"disks": ["nvme0n1"]}, BROKEN, "/sys/block/nvme0n1"),
    ("F-6", {}, HELD, "4, all"),
    ("F-6", {"mounts": []}, BROKEN, "/dev/fuse"),
    ("F-6", {"devices": {"kvm": "c+"}}, BROKEN, "/dev/kvm"),
    ("F-6", {"devices": {"nvidia0": "c+"}}, UNTOLD, "GPU"),
    ("F-6", {"devices": {"nvidia0": "c+", "mem": "c"}}, BROKEN, "/dev/mem"),
    ("F-6", {"devices": {}}, HELD, "none"),
    ("E-1", {}, HELD, "none of"),
    ("E-1", {"present": ["/run/secrets/kubernetes.io"]}, BROKEN, "kubernetes.io"),
)


@rows(*FILES)
def test_files(number: str, change: Json, result: Result, says: str) -> None:
    check(number, Files.model_validate(SOUND["files"] | change), result, says)


VARIABLES: tuple[Row, ...] = (
    ("E-2", {}, HELD, "2 names"),
    ("E-2", {"names": ["AWS_SECRET_ACCESS_KEY"]}, BROKEN, "AWS_SECRET"),
    ("E-2", {"names": ["x"], "secret": ["x"]}, BROKEN, "x"),
    ("E-3", {}, HELD, "2 names"),
    ("E-3", {"names": ["API_SERVICE_HOST"]}, BROKEN, "API_SERVICE_HOST"),
    ("E-3", {"names": ["CODESESSION_SOCKET"]}, BROKEN, "CODESESSION_SOCKET"),
)


@rows(*VARIABLES)
def test_variables(number: str, change: Json, result: Result, says: str) -> None:
    check(number, Variables.model_validate(SOUND["secrets"] | change), result, says)


RUNNER: tuple[Row, ...] = (
    ("R-1", {}, HELD, "all closed"),
    ("R-1", {"memory": [1]}, BROKEN, "process 1"),
    ("R-2", {}, HELD, "none to be traced"),
    ("R-2", {"traced": [1, 4]}, BROKEN, "process 1, 4"),
    ("R-3", {}, HELD, "all closed"),
    ("R-3", {"descriptors": [2]}, BROKEN, "process 2"),
    ("R-4", {}, HELD, "none serves"),
    ("R-4", {"sockets": {}}, HELD, "there is none"),
    ("R-4", {"sockets": {"@x": "open"}}, BROKEN, "@x (open)"),
)


@rows(*RUNNER)
def test_runner(number: str, change: Json, result: Result, says: str) -> None:
    check(number, Runner.model_validate(SOUND["runner"] | change), result, says)


BLIND = {"works": False}
GROUPS = {
    "N-1": "tcp",
    "N-2": "udp",
    "N-3": "icmp",
    "N-4": "dns",
    "N-5": "metadata",
    "N-6": "api",
    "N-7": "node",
}
GROUPS |= {"N-8": "ipv6", "N-9": "named"}
REACH: tuple[Row, ...] = (
    *((number, {}, HELD, "asked: silent") for number in GROUPS),
    *((number, {"asked": asked("reached")}, BROKEN, "(reached)") for number in GROUPS),
    *((number, {"asked": asked("refused")}, BROKEN, "(refused)") for number in GROUPS),
    *((number, {"asked": asked("refused"), "nowhere": "refused"}, HELD, "refused") for number in GROUPS),
    *((number, BLIND, UNTOLD, "its own loopback") for number in GROUPS),
    ("N-1", BLIND | {"asked": asked("reached")}, BROKEN, "1.1.1.1"),
    ("N-4", {"resolved": ["one.one.one.one"]}, BROKEN, "resolves one.one.one.one"),
    ("N-7", {"asked": []}, UNTOLD, "knows of no gateway"),
    ("N-7", {"asked": [], "own": None}, HELD, "no address"),
    ("N-9", {"asked": []}, UNTOLD, "--reach"),
)


@rows(*REACH)
def test_network(number: str, change: Json, result: Result, says: str) -> None:
    check(number, Reach.model_validate(SOUND["reach"] | change), result, says)


def test_an_answer_is_told_of_its_own_group_alone() -> None:
    for number, group in GROUPS.items():
        entries = [entry | {"outcome": "reached"} for entry in asked("silent") if entry["group"] == group]
        rest = [entry for entry in asked("silent") if entry["group"] != group]
        seen = Reach.model_validate(SOUND["reach"] | {"asked": [*rest, *entries]})
        assert [each for each in GROUPS if judged(BY_ID[each], seen).result == "broken"] == [number]


NEIGHBOURS: tuple[Row, ...] = (
    ("S-1", {}, HELD, "nothing"),
    ("S-1", {"files": ["/tmp/x"]}, BROKEN, "/tmp/x"),
    ("S-1", {"at_once": False}, UNTOLD, "at one time"),
    ("S-2", {}, HELD, "nothing"),
    ("S-2", {"processes": [7]}, BROKEN, "7"),
    ("S-2", {"at_once": False}, UNTOLD, "at one time"),
    ("S-3", {}, HELD, "nothing"),
    ("S-3", {"shared": ["shm"]}, BROKEN, "shm"),
    ("S-3", {"sockets": ["x"]}, BROKEN, "x"),
    ("S-4", {}, HELD, "nobody comes"),
    ("S-4", {"address": None}, HELD, "no address"),
    ("S-4", {"reached": ["10.0.0.1 8700"]}, BROKEN, "10.0.0.1 8700"),
    ("S-4", {"peers": ["10.0.0.2"]}, BROKEN, "reaches it"),
    ("S-4", {"listened": False}, UNTOLD, "could not listen"),
    ("S-4", {"at_once": False}, UNTOLD, "at one time"),
)


@rows(*NEIGHBOURS)
def test_neighbours(number: str, change: Json, result: Result, says: str) -> None:
    def changed(document: Json) -> Json:
        return {name: change.get(name, value) for name, value in document.items()}

    outer = changed({"address": "10.244.0.7", "at_once": True})
    inner = {"there": changed(SOUND["neighbour"]), "traces": changed(SOUND["search"])}
    check(number, Neighbours.model_validate(outer | inner), result, says)


LEFTOVERS: tuple[Row, ...] = (
    ("S-6", {}, HELD, "none stays"),
    ("S-6", {"next_run": {"files": ["/tmp/x"]}}, BROKEN, "/tmp/x"),
    ("S-6", {"next_run": {"processes": [7]}}, BROKEN, "7"),
    ("S-6", {"next_run": {"shared": ["shm"]}}, BROKEN, "shm"),
    ("S-6", {"same_session": {"files": ["/tmp/x"]}}, HELD, "none stays"),
    ("S-7", {}, HELD, "ends with it"),
    ("S-7", {"same_session": {"processes": [7]}}, BROKEN, "process 7"),
)


@rows(*LEFTOVERS)
def test_leftovers(number: str, change: Json, result: Result, says: str) -> None:
    found = {name: SOUND["search"] | change.get(name, {}) for name in ("next_run", "same_session")}
    check(number, Leftovers.model_validate({"left": SOUND["leave"]} | found), result, says)


@rows(
    ("S-5", {"got": {"GET download": "none"}}, HELD, "1 ways"),
    ("S-5", {"got": {"GET download": "200 and its content"}}, BROKEN, "GET download: 200"),
    ("S-5", {"got": None}, UNTOLD, "--other-key"),
)
def test_tenants(number: str, change: Json, result: Result, says: str) -> None:
    check(number, Tenants.model_validate(change), result, says)


LIMITS: tuple[Row, ...] = (
    ("L-1", {"told": '{"mib": 832}'}, HELD, "832"),
    ("L-1", {"status": "OM", "said": "Out of memory"}, HELD, "OM: Out of memory"),
    ("L-1", {"told": '{"mib": 4096}'}, BROKEN, "4096"),
    ("L-2", {"status": "SG", "said": "more than 128"}, HELD, "SG: more than 128"),
    ("L-2", {"told": '{"processes": 1000, "why": null}'}, BROKEN, "1000"),
    ("L-3", {"told": '{"why": "EFBIG", "limit": 1}'}, HELD, "EFBIG"),
    ("L-3", {"told": '{"why": null, "limit": -1}'}, BROKEN, "-1"),
    ("L-4", {"printed": 1 << 20, "status": "OL"}, HELD, "1048576 characters"),
    ("L-4", {"printed": 20_000_000}, BROKEN, "20000000 characters"),
    ("L-5", {"status": "TO", "seconds": 4.0}, HELD, "after 4"),
    ("L-5", {"told": '{"slept": 30}'}, BROKEN, "sleep for 30"),
)


@rows(*LIMITS)
def test_limits(number: str, change: Json, result: Result, says: str) -> None:
    seen = {"told": "", "printed": 0, "status": None, "said": "", "seconds": 1.0}
    check(number, Attack.model_validate(seen | change), result, says)


def test_every_probe_has_a_row_that_holds_and_one_that_is_broken() -> None:
    given = [*PRIVILEGES, *FILES, *VARIABLES, *RUNNER, *REACH, *NEIGHBOURS, *LEFTOVERS, *LIMITS]
    for result in (HELD, BROKEN):
        assert {row[0] for row in given if row[2] == result} | {"S-5"} == set(BY_ID)
    assert len(BY_ID) == len(PROBES)


@pytest.mark.parametrize(
    ("stdout", "complaint"),
    [
        ("", "told nothing (SG): killed"),
        ("{}", "makes no sense: names Field required"),
        ("[" * 100_000, "makes no sense"),
        ('{"names": ["a"], "secret": [], "more": 1}', "more Extra inputs"),
        ('{"names": ["a"], "secret": "b"}', "secret Input should be a valid array"),
        ('{"names": [1], "secret": []}', "names.0"),
        ('{"names": ["\\ud800"], "secret": []}', "makes no sense"),
        ('{"names": ["' + "a" * 300_000 + '"], "secret": []}', "too much"),
    ],
)
def test_a_document_that_is_none_is_no_word_about_anything(stdout: str, complaint: str) -> None:
    answer = Answer(stdout=stdout, stderr="killed", status="SG")
    with pytest.raises(NoFactsError) as error:
        facts(Variables, answer)
    assert complaint in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("two\nlines\t of it", "two lines of it"),
        ("\x1b[2Jgone\x07", "\\x1b[2Jgone\\x07"),
        ("right\u202eleft", "right\\x202eleft"),
        ("ü" * 300, "ü" * 240 + "…"),
        ("\x1b" * 300, ("\\x1b" * 300)[:240] + "…"),
    ],
)
def test_what_is_shown_is_one_bounded_line(text: str, line: str) -> None:
    assert shown(text) == line


def test_an_observation_is_shown_so() -> None:
    seen: Any = Runner.model_validate(SOUND["runner"] | {"sockets": {"\x1b[2J" + "x" * 999: "greeted"}})
    assert judged(BY_ID["R-4"], seen).observation.startswith("it is served by \\x1b[2Jxx")
