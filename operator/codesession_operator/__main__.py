"""`python -m codesession_operator`: run until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import sys

import uvloop

from codesession_crds.client import KubeClient
from codesession_crds.errors import KubeError
from codesession_operator import log
from codesession_operator.operator import Operator
from codesession_operator.settings import OperatorSettings, SettingsError, load

logger = logging.getLogger("codesession_operator")


async def _run(settings: OperatorSettings) -> None:
    async with await KubeClient.connect() as client:
        await Operator(client, settings).run()


def main() -> int:
    """The exit status: 1 when it could not start or go on, with one line why."""
    try:
        settings = load()
    except SettingsError as error:
        sys.stderr.write(f"codesession operator: {error}\n")
        return 1
    log.configure(settings.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(settings))
    except KubeError as error:
        logger.critical("cannot go on: %s", error)
        return 1
    except Exception:
        logger.critical("cannot go on", exc_info=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
