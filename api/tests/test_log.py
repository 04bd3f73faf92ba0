from __future__ import annotations

import json
import logging
import sys

import pytest

from codesession_api import log


def record(message: str = "%s happened", *args: object, **extra: object) -> logging.LogRecord:
    made = logging.getLogger("codesession.test").makeRecord(
        "codesession.test", logging.WARNING, __file__, 1, message, args or ("it",), None, extra=extra
    )
    return made


def failed() -> logging.LogRecord:
    try:
        raise ValueError("secret of the user")
    except ValueError:
        made = record()
        made.exc_info = sys.exc_info()
        return made


def test_a_line_for_machines_is_one_json_object() -> None:
    token = log.request_id.set("abc-1")
    try:
        line = log.JsonFormatter().format(record(status=200, route="/exec"))
    finally:
        log.request_id.reset(token)
    assert "\n" not in line
    entry = json.loads(line)
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "level": "warning",
        "logger": "codesession.test",
        "message": "it happened",
        "request_id": "abc-1",
        "status": 200,
        "route": "/exec",
    }


@pytest.mark.parametrize("formatter", [log.JsonFormatter(), log.PlainFormatter()])
def test_of_an_exception_only_type_and_place_are_told(formatter: logging.Formatter) -> None:
    line = formatter.format(failed())
    assert "secret" not in line
    assert "ValueError" in line
    assert "test_log.py" in line
