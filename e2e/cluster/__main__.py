"""The commands; see the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from e2e.cluster import cache, provider
from e2e.cluster.errors import ClusterError
from e2e.cluster.instance import Cluster
from e2e.cluster.progress import say


def main() -> int:
    arguments = _parser().parse_args()
    try:
        return _run(arguments)
    except ClusterError as error:
        print(f"e2e.cluster: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m e2e.cluster")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring the cluster up, or find it up")
    commands.add_parser("down", help="take it down; nothing stays running or mounted")
    commands.add_parser("status", help="exit 0 when it is up")
    commands.add_parser("kubeconfig", help="print the path of its kubeconfig")
    commands.add_parser("node", help="print the address at which its NodePorts answer")
    commands.add_parser("build", help="build its programs into the cache")
    commands.add_parser("load", help="import image archives").add_argument("archive", nargs="+", type=Path)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    chosen = provider.choose()
    match arguments.command:
        case "up":
            cluster = chosen.up()
            say(f"up: KUBECONFIG={cluster.kubeconfig} node={cluster.node_address}")
        case "down":
            chosen.down()
            say("down")
        case "status":
            complaint = chosen.complaint()
            print(complaint or "up")
            return 1 if complaint else 0
        case "kubeconfig":
            print(_recorded(chosen).kubeconfig)
        case "node":
            print(_recorded(chosen).node_address)
        case "build":
            cache.build_all()
        case "load":
            for archive in arguments.archive:
                chosen.load(archive)
    return 0


def _recorded(chosen: provider.Provider) -> Cluster:
    cluster = chosen.recorded()
    if cluster is None:
        raise ClusterError("the cluster is not up")
    return cluster


if __name__ == "__main__":
    raise SystemExit(main())
