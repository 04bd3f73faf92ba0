"""What the operator writes to stderr, its own and kopf's: a JSON object a line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kopf
import pytest
from kopf._cogs.structs.bodies import Body
from kopf._core.actions.loggers import ObjectLogger

from codesession_operator import log
from codesession_operator.__main__ import main
from codesession_operator.workqueue import Key


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, handlers = logging.getLogger(), logging.getLogger().handlers[:]
    level = root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_names_what_is_being_reconciled(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("INFO")
    with log.about(Key("session", "abc")):
        logging.getLogger("codesession_operator.executor").warning("event %s not written", "Lost")
    logging.getLogger("codesession_operator.audit").info("synced")
    about, plain = lines(capsys.readouterr().err)
    assert about.pop("time").endswith("+00:00")
    assert about == {
        "level": "warning",
        "logger": "codesession_operator.executor",
        "message": "event Lost not written",
        "session": "abc",
    }
    assert plain.keys() == {"time", "level", "logger", "message"}


def test_kopfs_lines_are_of_that_form_too(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("INFO")
    body = Body({"metadata": {"name": "abc", "namespace": "n"}, "spec": {"claim": {"tenant": "hash"}}})
    ObjectLogger(body=body, settings=kopf.OperatorSettings()).warning("Handler failed")
    logging.getLogger("kopf._core.reactor.running").info("Starting")
    first, second = lines(capsys.readouterr().err)
    assert first.keys() == second.keys() == {"time", "level", "logger", "message"}
    assert (first["logger"], second["logger"]) == ("kopf.objects", "kopf._core.reactor.running")


def test_of_several_exceptions_only_types_and_places_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("INFO")
    try:
        raise ExceptionGroup("tasks", [ValueError("secret of the user"), OSError("secret of the node")])
    except ExceptionGroup:
        logging.getLogger("codesession_operator").exception("cannot go on")
    written = capsys.readouterr().err
    assert "secret" not in written
    (line,) = lines(written)
    assert [kind for kind in line["exception"] if ":" not in kind] == [
        "ExceptionGroup",
        "ValueError",
        "OSError",
    ]


def test_a_start_without_a_cluster_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main() == 1
    (line,) = lines(capsys.readouterr().err)
    assert line["level"] == "critical"
    assert line["message"].startswith("cannot go on: ")
