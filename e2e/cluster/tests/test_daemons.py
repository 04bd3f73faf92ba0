from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import daemons
from e2e.cluster.errors import ClusterError


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    for name in ("run", "log"):
        (tmp_path / name).mkdir()
    return tmp_path


def record(state: Path, name: str, pid: int, started: str | None) -> Path:
    path = state / "run" / name
    path.write_text(f"{pid} {started}")
    return path


def test_a_process_is_known_by_pid_and_start(state: Path, child: subprocess.Popen[bytes]) -> None:
    started = daemons.started(child.pid)
    assert daemons.alive(record(state, "same", child.pid, started))
    assert not daemons.alive(record(state, "pid-used-again", child.pid, "1"))
    assert daemons.dead(state) == ["pid-used-again"]
    assert daemons.recorded(state) == {child.pid}


def test_a_zombie_is_dead(state: Path, child: subprocess.Popen[bytes]) -> None:
    alive = record(state, "daemon", child.pid, daemons.started(child.pid))
    child.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while daemons.alive(alive) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert daemons.dead(state) == ["daemon"]


def test_a_half_written_record_is_of_nothing_alive(state: Path) -> None:
    (state / "run" / "daemon").write_text("12")
    assert daemons.dead(state) == ["daemon"]
    assert daemons.recorded(state) == set()


def test_waiting_ends_at_once_when_a_daemon_does(state: Path) -> None:
    record(state, "etcd", 1, "never")
    daemons.log(state, "etcd").write_text("first\nno space left\n")
    with pytest.raises(ClusterError, match=r"etcd has ended(.|\n)*no space left"):
        daemons.until(state, "it", lambda: False)


def test_waiting_has_an_end(state: Path) -> None:
    with pytest.raises(ClusterError, match="it was not there after 0 s"):
        daemons.until(state, "it", lambda: False, seconds=0)


def test_killing_goes_on_until_nothing_is_found(child: subprocess.Popen[bytes]) -> None:
    with subprocess.Popen(["sleep", "60"]) as late:
        found = iter([{child.pid}, {child.pid, late.pid}])
        daemons.kill(lambda: next(found, {late.pid}))
        assert (child.wait(5), late.wait(5)) == (-signal.SIGKILL, -signal.SIGKILL)
