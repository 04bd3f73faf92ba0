"""`up` and `down` of a second checkout on this machine, through what may go wrong."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.cluster import bare, cgroups
from e2e.cluster.cache import binary
from e2e.cluster.instance import CHECKOUT, host_link, instance_id, name, state


def _ours() -> bool:
    cluster = bare.recorded()
    return cluster is not None and os.environ.get("KUBECONFIG") == str(cluster.kubeconfig)


pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not _ours(), reason="KUBECONFIG is not of this machine's own cluster"),
]


@dataclass(frozen=True)
class Checkout:
    folder: Path

    @property
    def id(self) -> str:
        return instance_id(self.folder)

    def start(self, command: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "e2e.cluster", command]
        return subprocess.Popen(words, cwd=self.folder, stdout=subprocess.PIPE, text=True)

    def run(self, command: str) -> tuple[int, str]:
        with self.start(command) as process:
            output, _ = process.communicate()
        return process.returncode, output.strip()

    def kubectl(self, *words: str) -> str:
        command = [binary("kubectl"), f"--kubeconfig={self.run('kubeconfig')[1]}", *words]
        return subprocess.run([*map(str, command)], check=True, capture_output=True, text=True).stdout

    def kill_everything(self) -> None:
        for pid in cgroups.processes(name(self.id)):
            os.kill(pid, signal.SIGKILL)

    def remains(self) -> list[str]:
        """What a look around the machine finds of this checkout's cluster."""
        commands = [_text(file) for file in Path("/proc").glob("[1-9]*/cmdline")]
        found = [command for command in commands if self.id in command]
        found += [line for line in _text(Path("/proc/self/mountinfo")).splitlines() if self.id in line]
        found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/{name(self.id)}")]
        places = [
            state(self.id),
            Path("/run/netns") / name(self.id),
            Path("/sys/class/net") / host_link(self.id),
        ]
        return found + [str(path) for path in places if path.exists()]


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    shutil.copytree(CHECKOUT / "e2e" / "cluster", tmp_path / "e2e" / "cluster")
    checkout = Checkout(tmp_path)
    yield checkout
    checkout.run("down")


def test_dead_daemons_are_started_again_and_nothing_is_lost(checkout: Checkout) -> None:
    assert checkout.run("status") == (1, "down")
    assert checkout.run("up")[0] == 0
    assert checkout.run("status") == (0, "up")
    checkout.kubectl("create", "configmap", "kept")
    checkout.kill_everything()
    assert checkout.run("status")[1].startswith("dead: calico-felix, containerd, etcd")
    assert checkout.run("up")[0] == 0
    assert checkout.run("status") == (0, "up")
    checkout.kubectl("get", "configmap", "kept")
    checkout.run("down")
    assert checkout.remains() == []


def test_a_killed_up_is_cleaned_away_by_the_next(checkout: Checkout) -> None:
    with checkout.start("up") as up:
        while not (state(checkout.id) / "run" / "kubelet").exists():
            assert up.poll() is None
            time.sleep(0.1)
        up.kill()
    assert checkout.run("status") == (1, "half-made")
    assert checkout.run("up")[0] == 0
    checkout.run("down")
    assert checkout.remains() == []


def test_down_of_a_half_made_cluster_leaves_nothing(checkout: Checkout) -> None:
    with checkout.start("up") as up:
        while not (state(checkout.id) / "run" / "containerd").exists():
            assert up.poll() is None
            time.sleep(0.1)
        up.kill()
    assert checkout.run("down")[0] == 0
    assert checkout.remains() == []
    assert checkout.run("down")[0] == 0
