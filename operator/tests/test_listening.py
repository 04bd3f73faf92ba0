"""What watches tell reaches the world, and what they could not tell too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from codesession_crds.paths import CODE_SESSIONS
from codesession_crds.watch import WatchEvent
from codesession_operator.listening import MANY, listen
from codesession_operator.wiring import FEW
from codesession_operator.world import World
from tests.api_model import NAMESPACE, ApiModel
from tests.operator_model import OperatorModel

A, B, C = "a" * 21, "b" * 21, "c" * 21


class Gap(ApiModel):
    """Its watch is listed a second time; `between` is called before that."""

    between: Callable[[], None] = staticmethod(lambda: None)

    async def watch(self, path: str, **options: Any) -> AsyncIterator[WatchEvent]:
        async for event in super().watch(path, **options):
            yield event
            if event.type != "LISTED" and not self.untold:
                self.between()
                self.untold.clear()


@pytest.fixture
def api() -> Gap:
    return Gap(datetime(2026, 11, 21, 12, tzinfo=UTC))


@pytest.fixture
def operator(api: Gap) -> OperatorModel:
    """Makes the objects; it hears nothing."""
    return OperatorModel(api)


@pytest.fixture
def world() -> World:
    return World(lambda _: None)


async def hear(api: Gap, world: World) -> list[str]:
    client: Any = api
    listed = asyncio.Event()
    await listen(client, world, CODE_SESSIONS, NAMESPACE, inactivity=60, listed=listed)
    assert listed.is_set()
    return sorted(one.name[0] for one in world.sessions.all())


async def test_what_there_is_and_what_changes(api: Gap, operator: OperatorModel, world: World) -> None:
    operator.session(A)
    operator.session(B)
    api.untold.clear()
    operator.session(C)
    operator.change("codesessions", A, operatingMode="Suspended")
    api.remove("codesessions", B)
    assert await hear(api, world) == ["a", "c"]
    changed = world.sessions.get(A)
    assert changed is not None
    assert changed.suspended
    assert CODE_SESSIONS in world.last_heard


async def test_what_went_in_a_gap_is_forgotten_and_what_was_made_is_not(
    api: Gap, operator: OperatorModel, world: World
) -> None:
    operator.session(A)

    def between() -> None:
        api.remove("codesessions", A)
        operator.session(B)

    api.between = between
    assert await hear(api, world) == ["b"]


async def test_what_was_heard_of_while_it_was_listed_stays(
    api: Gap, operator: OperatorModel, world: World
) -> None:
    """The answer to an own write is newer than a list that was asked for before."""
    operator.session(A)
    (written,) = api.sessions()
    world.heard(CODE_SESSIONS, written)
    before = world.sessions.all()
    again = written["metadata"] | {"resourceVersion": "999"}
    world.heard(CODE_SESSIONS, written | {"metadata": again})
    world.forget(CODE_SESSIONS, before, set())
    assert world.sessions.get(A) is not None


def test_every_kind_is_watched_once(world: World) -> None:
    assert sorted((*MANY, *FEW), key=str) == sorted(world.kinds, key=str)
