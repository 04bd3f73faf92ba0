"""`python -m codesession_runner`, or python given this very directory: the runner, or its fork server."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
from pathlib import Path

if not __package__:  # given by its path, as the image does
    sys.path[0] = str(Path(__file__).resolve().parent.parent)


def main() -> None:
    parser = argparse.ArgumentParser(prog="codesession_runner", description="The agent inside a sandbox.")
    parser.add_argument(
        "--stdio", action="store_true", help="serve standard input and output, not the socket"
    )
    parser.add_argument("--fork-server", nargs="*", metavar="MODULE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fork_server is not None:
        _serve_forks(options.fork_server)
    else:
        _serve_runs(stdio=options.stdio)


def _serve_forks(preload: list[str]) -> None:
    from codesession_runner import forkserver
    from codesession_runner.pool import CONTROL_DESCRIPTOR

    forkserver.main(socket.socket(fileno=CONTROL_DESCRIPTOR), preload)


def _serve_runs(*, stdio: bool) -> None:
    from codesession_runner.runner import Runner
    from codesession_runner.settings import Settings, SettingsError
    from codesession_runner.stdio import take_over

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        sys.exit(str(error))

    streams = take_over() if stdio else None

    async def serve() -> None:
        await Runner(settings).serve(streams)

    asyncio.run(serve())


if __name__ == "__main__":
    main()
