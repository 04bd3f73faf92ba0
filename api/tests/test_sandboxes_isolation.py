"""What a local sandbox may see, as tables: argument lists and the OCI document, without starting anything."""

from __future__ import annotations

import fcntl
import itertools
import os
from pathlib import Path

import pytest

from codesession_api.sandboxes import host, isolation
from codesession_api.sandboxes.directory import WorkDirectory
from codesession_api.sandboxes.host import VENV, Interpreter
from codesession_api.sandboxes.isolation import WORKSPACE, Mount, Plan

PLAN = Plan(
    command=("/opt/venv/bin/python", "-I", "/opt/codesession/codesession_runner", "--stdio"),
    environment={"PATH": "/usr/bin", "LANG": "C.UTF-8"},
    workspace="/state/abc/data",
    mounts=[
        Mount("/usr", "/usr"),
        Mount("/srv/venv", "/opt/venv"),
        Mount("/state/etc/passwd", "/etc/passwd"),
    ],
    links={"/bin": "usr/bin"},
)


def options(words: list[str]) -> list[list[str]]:
    """An argument list as its options with their values."""
    found: list[list[str]] = []
    for word in words:
        if word.startswith("--") or not found:
            found.append([word])
        else:
            found[-1].append(word)
    return found


def bubblewrap(as_root: bool) -> list[str]:
    return isolation.bubblewrap(PLAN, binary="/bin/bwrap", as_root=as_root, seccomp=7)


@pytest.mark.parametrize("as_root", [True, False])
@pytest.mark.parametrize(
    "option",
    [
        ["--unshare-user"],
        ["--disable-userns"],
        ["--unshare-net"],
        ["--unshare-pid"],
        ["--unshare-ipc"],
        ["--unshare-uts"],
        ["--unshare-cgroup-try"],
        ["--uid", "1000"],
        ["--gid", "1000"],
        ["--cap-drop", "ALL"],
        ["--die-with-parent"],
        ["--new-session"],
        ["--clearenv"],
        ["--setenv", "LANG", "C.UTF-8"],
        ["--symlink", "usr/bin", "/bin"],
        ["--ro-bind", "/srv/venv", "/opt/venv"],
        ["--bind", "/state/abc/data", WORKSPACE],
        ["--proc", "/proc"],
        ["--remount-ro", "/"],
        ["--chdir", WORKSPACE],
        ["--seccomp", "7"],
    ],
    ids=" ".join,
)
def test_bubblewrap_is_asked_for(option: list[str], as_root: bool) -> None:
    assert option in options(bubblewrap(as_root))


@pytest.mark.parametrize("as_root", [True, False])
def test_bubblewrap_makes_one_directory_of_the_host_writable(as_root: bool) -> None:
    words = bubblewrap(as_root)
    writable = [option for option in options(words) if option[0] in ("--bind", "--dev-bind")]
    own_root = [["--dev-bind", "/", "/"]] if as_root else []  # the inner bwrap's view of the outer one's
    assert writable == [["--bind", "/state/abc/data", WORKSPACE], *own_root]
    assert words[-4:] == list(PLAN.command)


def test_root_becomes_another_user_of_the_host_before_a_user_namespace_is_made() -> None:
    words = bubblewrap(as_root=True)
    leaving = words.index("setpriv")
    assert "--unshare-user" not in words[:leaving]
    assert "--unshare-user" in words[leaving:]
    assert {"--reuid=64999", "--regid=64999", "--clear-groups", "--bounding-set=-all"} <= set(words[leaving:])


def test_directories_on_the_way_to_a_mount_can_be_entered_by_any_user() -> None:
    words = bubblewrap(as_root=True)
    made = [word for flag, word in itertools.pairwise(words) if flag == "--dir"]
    assert made == ["/etc", "/mnt", "/opt"]


@pytest.mark.parametrize(("as_root", "uid"), [(True, 1000), (False, 0)])
def test_the_oci_document(as_root: bool, uid: int) -> None:
    document = isolation.oci_spec(PLAN, root="/state/root", as_root=as_root)
    assert document["root"] == {"path": "/state/root", "readonly": True}
    process = document["process"]
    assert process["user"] == {"uid": uid, "gid": uid}
    assert process["noNewPrivileges"] is True
    assert process["capabilities"] == {}
    assert process["args"] == list(PLAN.command)
    assert process["env"] == ["PATH=/usr/bin", "LANG=C.UTF-8"]
    assert {"type": "network"} in document["linux"]["namespaces"]
    writable = [
        mount["destination"]
        for mount in document["mounts"]
        if mount["type"] == "bind" and "ro" not in mount["options"]
    ]
    assert writable == [WORKSPACE]


def test_every_place_of_the_oci_document_is_a_mount_point() -> None:
    document = isolation.oci_spec(PLAN, root="/state/root", as_root=True)
    assert {mount["destination"] for mount in document["mounts"]} == set(isolation.mount_points(PLAN))


@pytest.mark.parametrize("as_root", [True, False])
def test_runsc_has_no_network_and_dies_with_the_server(as_root: bool) -> None:
    words = isolation.runsc(
        PLAN, binary="/bin/runsc", as_root=as_root, state="/state/runsc", bundle="/state/abc", name="abc"
    )
    assert words[:2] == ["setpriv", "--pdeathsig=KILL"]
    assert ("unshare" in words) is as_root
    assert ("--rootless=true" in words) is not as_root
    assert {"--network=none", "--root=/state/runsc", "--bundle=/state/abc"} <= set(words)
    assert words[-1] == "abc"


@pytest.mark.parametrize(
    ("python", "prefix", "base", "path", "mounts"),
    [
        ("/usr/bin/py", "/usr", "/usr", "/usr/bin/py", []),
        ("/usr/local/bin/py", "/usr/local", "/usr/local", "/usr/local/bin/py", []),
        ("/srv/v/bin/python", "/srv/v", "/usr", f"{VENV}/bin/python", [("/srv/v", VENV)]),
        (
            "/srv/v/bin/python3",
            "/srv/v",
            "/home/me/.pyenv/versions/3.11",
            f"{VENV}/bin/python3",
            [("/home/me/.pyenv/versions/3.11",) * 2, ("/srv/v", VENV)],
        ),
        ("/opt/py/bin/python3", "/opt/py", "/opt/py", "/opt/py/bin/python3", [("/opt/py", "/opt/py")]),
    ],
)
def test_the_interpreter_brings_its_prefixes(
    python: str, prefix: str, base: str, path: str, mounts: list[tuple[str, str]]
) -> None:
    found = host.interpreter(Path(python), Path(prefix), Path(base))
    assert found == Interpreter(Path(python), path, tuple(Mount(*mount) for mount in mounts))


def test_the_system_of_a_merged_and_of_a_split_usr(tmp_path: Path) -> None:
    for name in ("usr/lib", "lib64", "etc/fonts", "etc/java-21-openjdk", "etc/ssl", "root", "home"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "etc/shadow").touch()
    (tmp_path / "lib").symlink_to("usr/lib")
    mounts, links = host.system(tmp_path)
    assert links == {"/lib": "usr/lib"}
    assert [mount.target for mount in mounts] == ["/usr", "/lib64", "/etc/fonts", "/etc/java-21-openjdk"]


def test_what_a_dead_server_left_is_removed_and_what_a_live_one_has_is_not(tmp_path: Path) -> None:
    alive = WorkDirectory(tmp_path)
    dead = tmp_path / "server-dead"
    (dead / "session/data").mkdir(parents=True)
    (dead / "session/data").chmod(0)
    other = WorkDirectory(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {alive.path.name, other.path.name}
    alive.close()
    other.close()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_locked_as_long_as_it_is_used(tmp_path: Path) -> None:
    directory = WorkDirectory(tmp_path)
    descriptor = os.open(directory.path / "lock", os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
    directory.close()
