"""The server's commands of `codesession`, found by the entry points `codesession.commands`. The first line of
each docstring is its help. Nothing heavy is imported before one is given."""

from __future__ import annotations

from collections.abc import Sequence


def local(arguments: Sequence[str]) -> int:
    """the API with sandboxes on this machine, for trying and for tests"""
    return _main("local", arguments)


def api(arguments: Sequence[str]) -> int:
    """one replica of the API of a cluster"""
    return _main("api", arguments)


def probe(arguments: Sequence[str]) -> int:
    """try to get out of a sandbox of an installation, through its API"""
    return _main("probe", arguments)


def _main(command: str, arguments: Sequence[str]) -> int:
    from codesession_api.cli import main

    return main([command, *arguments])
