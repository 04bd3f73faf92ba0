"""The commands; see the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from e2e.cluster import bare, build, kind
from e2e.cluster.errors import ClusterError
from e2e.cluster.instance import Instance
from e2e.cluster.progress import say


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m e2e.cluster")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring the cluster up, or find it up")
    commands.add_parser("down", help="take it down; nothing stays running or mounted")
    commands.add_parser("status", help="exit 0 when it is up")
    commands.add_parser("kubeconfig", help="print the path of its kubeconfig")
    commands.add_parser("node", help="print the address at which its NodePorts answer")
    commands.add_parser("build", help="build its programs into the cache")
    commands.add_parser("load", help="import image archives").add_argument("archive", nargs="+", type=Path)
    arguments = parser.parse_args()
    try:
        return _run(arguments)
    except ClusterError as error:
        print(f"e2e.cluster: {error}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace) -> int:
    docker = kind.available()
    provider = kind if docker else bare
    if arguments.command == "up":
        provider.up()
        say(f"up: KUBECONFIG={_kubeconfig(docker)} node={_node(docker)}")
    elif arguments.command == "down":
        provider.down()
        say("down")
    elif arguments.command == "status":
        up = provider.is_up()
        print("up" if up else "down")
        return 0 if up else 1
    elif arguments.command == "build":
        build.everything()
    elif arguments.command == "load":
        for archive in arguments.archive:
            provider.load(archive)
    else:
        print(_kubeconfig(docker) if arguments.command == "kubeconfig" else _node(docker))
    return 0


def _kubeconfig(docker: bool) -> Path:
    return kind.kubeconfig() if docker else _bare().kubeconfig


def _node(docker: bool) -> str:
    return kind.node_address() if docker else _bare().node_address


def _bare() -> Instance:
    instance = bare.current()
    if instance is None:
        raise ClusterError("the cluster is not up")
    return instance


if __name__ == "__main__":
    raise SystemExit(main())
