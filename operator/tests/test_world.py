from __future__ import annotations

import logging
from typing import Any

import pytest

from codesession_crds.paths import CODE_ENVIRONMENTS, CODE_SESSIONS, NETWORK_POLICIES, PODS
from codesession_operator.caches import is_older
from codesession_operator.workqueue import Key
from codesession_operator.world import NAMESPACE, World, environment_key, session_key

Object = dict[str, Any]
NAME = "s" * 21
CLAIM = {"tenant": "a" * 32, "principal": "b" * 32, "claimedAt": "2026-11-21T12:00:00Z"}


def session(version: str = "10", uid: str = "u", name: str = NAME, **spec: Any) -> Object:
    metadata = {"name": name, "uid": uid, "resourceVersion": version, "generation": 1}
    return {"metadata": metadata, "spec": {"environmentRef": {"name": "default"}, **spec}}


def environment(version: str = "1", generation: int = 1, **more: Any) -> Object:
    metadata = {"name": "default", "uid": "e", "resourceVersion": version, "generation": generation}
    return {"metadata": metadata, "spec": {"image": "i"}, **more}


def policy(version: str = "1") -> Object:
    labels = {"codesession.dev/environment": "default"}
    metadata = {"name": "codesession-default", "uid": "p", "resourceVersion": version, "labels": labels}
    return {"metadata": metadata, "spec": {}}


@pytest.fixture
def woken() -> list[Key]:
    return []


@pytest.fixture
def world(woken: list[Key]) -> World:
    return World(woken.append)


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [("9", "10", True), ("10", "9", False), ("10", "10", False), ("a", "b", False), ("", "10", False)],
)
def test_versions_count_upwards(version: str, than: str, older: bool) -> None:
    assert is_older(version, than) is older


def test_old_news_is_no_news(world: World, woken: list[Key]) -> None:
    world.heard(CODE_SESSIONS, session("12", claim=CLAIM, shutdownTime="2026-11-21T13:00:00Z"))
    woken.clear()
    world.heard(CODE_SESSIONS, session("11"))
    assert woken == []
    kept = world.sessions.get(NAME)
    assert kept is not None
    assert kept.claimed


def test_words_of_an_earlier_object_come_too_late(world: World) -> None:
    """Each watch tells in order; what our own writes are answered comes in between."""
    world.heard(CODE_SESSIONS, session("10", uid="old"))
    world.heard(CODE_SESSIONS, session("13", uid="new", environmentRef={"name": "other"}))
    world.heard(CODE_SESSIONS, session("11", uid="old"))
    world.gone(CODE_SESSIONS, NAME, "old")
    kept = world.sessions.get(NAME)
    assert kept is not None
    assert kept.uid == "new"
    assert (world.sessions.names("default"), world.sessions.names("other")) == ([], [NAME])


def test_the_end_of_another_object_is_not_the_end(world: World) -> None:
    world.heard(CODE_SESSIONS, session(uid="new"))
    world.gone(CODE_SESSIONS, NAME, "old")
    assert world.sessions.get(NAME) is not None
    world.gone(CODE_SESSIONS, NAME, "new")
    assert world.sessions.get(NAME) is None


def test_whom_sessions_wake(world: World, woken: list[Key]) -> None:
    world.heard(CODE_SESSIONS, session("1"))
    assert set(woken) == {session_key(NAME), environment_key("default")}
    woken.clear()
    claimed: Object = {"claim": CLAIM, "shutdownTime": "2026-11-21T13:00:00Z"}
    world.heard(CODE_SESSIONS, session("2", **claimed))
    assert environment_key("default") in woken  # one less is warm
    woken.clear()
    world.heard(CODE_SESSIONS, session("3", **claimed) | {"status": {"restartCount": 1}})
    assert set(woken) == {session_key(NAME)}


def test_counts_by_environment(world: World) -> None:
    claimed: Object = {"claim": CLAIM, "shutdownTime": "2026-11-21T13:00:00Z"}
    world.heard(CODE_SESSIONS, session(name="a" * 21, uid="1"))
    world.heard(CODE_SESSIONS, session(name="b" * 21, uid="2"))
    world.heard(CODE_SESSIONS, session("11", name="b" * 21, uid="2", **claimed))
    going = session(name="c" * 21, uid="3")
    going["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
    world.heard(CODE_SESSIONS, going)
    assert [one.name[0] for one in world.sessions.warm("default")] == ["a"]
    assert world.sessions.claimed("default") == 1
    world.gone(CODE_SESSIONS, "b" * 21, "2")
    assert world.sessions.claimed("default") == 0


def test_whom_environments_wake(world: World, woken: list[Key]) -> None:
    world.heard(CODE_ENVIRONMENTS, environment())
    assert set(woken) == {NAMESPACE, environment_key("default")}
    woken.clear()
    world.heard(CODE_ENVIRONMENTS, environment("2", status={"warm": 1}))
    assert NAMESPACE not in woken
    world.heard(CODE_SESSIONS, session())
    woken.clear()
    world.gone(CODE_ENVIRONMENTS, "default", "e")
    assert session_key(NAME) in woken


def test_guards_are_of_a_generation_and_of_a_policy(world: World) -> None:
    world.heard(CODE_ENVIRONMENTS, environment())
    world.guarded["default"] = 1
    assert world.is_guarded(world.environments.get("default"))
    world.heard(CODE_ENVIRONMENTS, environment("2", generation=2))
    assert not world.is_guarded(world.environments.get("default"))
    world.guarded["default"] = 2
    world.heard(NETWORK_POLICIES, policy())
    assert not world.is_guarded(world.environments.get("default"))
    world.guarded["default"] = 2
    world.gone(NETWORK_POLICIES, "codesession-default", "p")
    assert not world.is_guarded(world.environments.get("default"))


def test_what_cannot_be_read_is_named_but_not_shown(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        world.heard(CODE_SESSIONS, session(operatingMode="secret-value"))
        world.heard(PODS, {"metadata": {"name": NAME}, "spec": {"image": "secret-value"}})
    assert "CodeSession" in caplog.text
    assert "Pod" in caplog.text
    assert "secret-value" not in caplog.text
    assert len(world.sessions) == 0
