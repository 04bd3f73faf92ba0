"""Runs a command on a cluster: `python -m e2e.run -- COMMAND`.

The cluster is the one of KUBECONFIG, whose nodes must have the images, or this machine's own (`e2e.cluster`),
brought up for the command with images built from this checkout. It is taken down afterwards unless it was up
before: `make cluster` keeps one between runs.
"""

from __future__ import annotations

import os
import subprocess
import sys

CLUSTER = [sys.executable, "-m", "e2e.cluster"]


def main(arguments: list[str]) -> int:
    if arguments[:1] != ["--"] or len(arguments) < 2:
        print("usage: python -m e2e.run -- COMMAND [ARGUMENT ...]", file=sys.stderr)
        return 2
    command = arguments[1:]
    if os.environ.get("KUBECONFIG"):
        return subprocess.run(command, check=False).returncode
    was_up = subprocess.run([*CLUSTER, "status"], check=False, stdout=subprocess.DEVNULL).returncode == 0
    try:
        for step in ([*CLUSTER, "up"], [sys.executable, "-m", "images.build", "--load"]):
            if subprocess.run(step, check=False).returncode != 0:
                return 1
        kubeconfig = subprocess.run([*CLUSTER, "kubeconfig"], check=True, capture_output=True, text=True)
        environment = os.environ | {"KUBECONFIG": kubeconfig.stdout.strip()}
        return subprocess.run(command, check=False, env=environment).returncode
    finally:
        if not was_up:
            subprocess.run([*CLUSTER, "down"], check=False)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
