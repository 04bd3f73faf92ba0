"""The requirements, by their ids: `C-` and the section's hundred, then for each client `/version`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from e2e.clients import install
from e2e.conformance.guest import Guest
from e2e.conformance.server import Server

Check = Callable[[Server], None]
GuestCheck = Callable[[Guest], None]

SECONDS = 90
"""Of a requirement without a limit of its own; a first call may wait for a sandbox."""

_all: dict[str, Requirement] = {}


@dataclass(frozen=True, slots=True)
class Requirement:
    """`check` returns when the server meets it, and raises otherwise. `keyed` ones need credentials."""

    id: str
    section: str
    text: str
    check: Check
    seconds: float = SECONDS
    keyed: bool = False
    version: str = ""
    """Of the real client, in requirements that are about one."""


def requirement(
    number: str, section: str, text: str, *, seconds: float = SECONDS, keyed: bool = False
) -> Callable[[Check], Check]:
    """Registers a function as the check of a requirement."""

    def register(check: Check) -> Check:
        _add(Requirement(number, section, text, check, seconds, keyed))
        return check

    return register


def of_clients(
    number: str,
    section: str,
    text: str,
    versions: Sequence[str] = install.VERSIONS,
    *,
    seconds: float = SECONDS,
) -> Callable[[GuestCheck], GuestCheck]:
    """The same for each version of the real client."""

    def register(check: GuestCheck) -> GuestCheck:
        for version in versions:
            by_version = partial(_as_guest, check, version)
            identity = f"{number}/{version}"
            _add(Requirement(identity, section, text, by_version, seconds, version=version))
        return check

    return register


def requirements(only: Sequence[str] = ()) -> list[Requirement]:
    """All, or those whose id is one of `only` or that id's variant, by id. KeyError names an unknown id."""
    _load()
    for wanted in only:
        if not any(_is(wanted, each) for each in _all):
            raise KeyError(wanted)
    chosen = [each for each in _all.values() if not only or any(_is(wanted, each.id) for wanted in only)]
    return sorted(chosen, key=_place)


def _add(entry: Requirement) -> None:
    if entry.id in _all:
        raise ValueError(f"two requirements are called {entry.id}")
    _all[entry.id] = entry


def _as_guest(check: GuestCheck, version: str, server: Server) -> None:
    check(server.guest(version))


def _is(wanted: str, number: str) -> bool:
    return number == wanted or number.startswith(f"{wanted}/")


def _place(entry: Requirement) -> tuple[list[int], str]:
    """Raw requirements first, then client by client, so that one client lives at a time."""
    return [int(part) for part in entry.version.split(".") if part], entry.id


def _load() -> None:
    """Every module of `rows` registers its own."""
    rows = importlib.import_module("e2e.conformance.rows")
    for module in pkgutil.iter_modules(rows.__path__):
        importlib.import_module(f"{rows.__name__}.{module.name}")
