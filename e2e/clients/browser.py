"""A browser of this machine, without a window, and what it was seen to do."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_TELL_VIOLATIONS = """addEventListener("securitypolicyviolation", (event) =>
    console.error("policy", event.violatedDirective, event.blockedURI))"""


class BrowserError(Exception):
    """There is none."""


@dataclass
class Seen:
    """What a page asked for, and what it complained of: errors, and what its policy stopped."""

    urls: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


_WITHOUT_TLS = "The Cross-Origin-Opener-Policy header has been ignored"
"""Said of the address of a test cluster's node."""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise BrowserError(f"none of {', '.join(PROGRAMS)} is on the PATH: apt-get install chromium")
    # Its own sandbox wants another user than root; what it shows here is this repository's.
    sandboxed = os.geteuid() != 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, chromium_sandbox=sandboxed, args=["--no-proxy-server"]
        )
        with browser:
            yield browser


@contextlib.contextmanager
def page(browser: Browser, **given: Any) -> Iterator[tuple[Page, Seen]]:
    """A fresh profile, whose page is watched."""
    seen = Seen()

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_WITHOUT_TLS):
            seen.faults.append(message.text)

    with browser.new_context(**given) as context:
        context.add_init_script(_TELL_VIOLATIONS)
        context.on("request", lambda request: seen.urls.append(request.url))
        opened = context.new_page()
        opened.on("console", hear)
        opened.on("pageerror", lambda error: seen.faults.append(str(error)))
        yield opened, seen
