"""The command `codesession`."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import uvloop

from codesession_api import log
from codesession_api.errors import ObjectsUnavailable, SandboxesUnavailable
from codesession_api.ports import Sandboxes
from codesession_api.probe import cli as probe
from codesession_api.routes import playground
from codesession_api.serve import Announce, ServeError, serve
from codesession_api.settings import Settings, SettingsError, load


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 after a stop that was asked for, 1 when it could not start, with one line why;
    of a probe, `probe.cli` has it."""
    options = _parser().parse_args(arguments)
    if options.command == "probe":
        return probe.run(options)
    chosen = {name: vars(options).get(name) for name in ("host", "port", "unsafe_no_sandbox")}
    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        if options.command == "local":
            settings = _local(given)
            return _run(settings, partial(_tell_how_to_try, settings), machine=False)
        return _run(load(**given), _tell_nobody, machine=True)
    except (SettingsError, ServeError, SandboxesUnavailable, ObjectsUnavailable) as error:
        print(f"codesession: {error}", file=sys.stderr)
        return 1


def _run(settings: Settings, announce: Announce, *, machine: bool) -> int:
    log.configure(settings.log_level, machine=machine)
    # Both end the loop's main task, which closes what it opened, also before uvicorn looks after signals.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, announce))
    except KeyboardInterrupt:
        pass
    return 0


def _local(given: dict[str, Any]) -> Settings:
    """Nobody is asked for a key on loopback; elsewhere that has to be chosen."""
    settings = load(backend="local", **given)
    if settings.auth is not None:
        return settings
    if not _is_loopback(settings.host):
        raise SettingsError(f"CODESESSION_AUTH must be chosen to listen on {settings.host}")
    return settings.model_copy(update={"auth": ("none",)})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tell_how_to_try(settings: Settings, url: str, sandboxes: Sandboxes) -> None:
    print(f"CodeSession answers on {url}/v1; isolation: {sandboxes.isolation}")
    print("Try it:")
    if playground.wanted(settings):
        print(f"  {url}/playground in a browser")
    body = '{"lang": "py", "code": "print(40 + 2)"}'
    print(f"  curl -s {url}/v1/exec -H 'Content-Type: application/json' -d '{body}'", flush=True)


def _tell_nobody(url: str, sandboxes: Sandboxes) -> None:
    """In a cluster the log says it."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="codesession",
        description="A place to run the code that a language model wrote. "
        "Settings are environment variables CODESESSION_*; these options win over them.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    local = commands.add_parser(
        "local", help="the API with sandboxes on this machine, for trying and for tests"
    )
    local.add_argument(
        "--unsafe-no-sandbox",
        action="store_true",
        default=None,
        help="run code unisolated where runsc and bwrap are missing",
    )
    for command in (local, commands.add_parser("api", help="one replica of the API of a cluster")):
        command.add_argument("--host", help="address to listen on (default 127.0.0.1)")
        command.add_argument("--port", type=int, help="port to listen on (default 8000)")
    probe.add_to(commands)
    return parser
