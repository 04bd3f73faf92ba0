from __future__ import annotations

import json
import logging
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from codesession_api import log
from codesession_api.errors import ApiError
from codesession_api.multipart import parts


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
        line = log.formatter(machine=True).format(record(status=200, route="/exec"))
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


@pytest.mark.parametrize("formatter", [log.formatter(machine=True), log.formatter(machine=False)])
def test_of_an_exception_only_type_and_place_are_told(formatter: logging.Formatter) -> None:
    line = formatter.format(failed())
    assert "secret" not in line
    assert "ValueError" in line
    assert "test_log.py" in line


@pytest.fixture
def _as_before() -> Iterator[None]:
    root, handlers = logging.getLogger(), logging.getLogger().handlers[:]
    level = root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_as_before")
async def test_a_malformed_form_is_not_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("debug", machine=True)

    async def body() -> AsyncIterator[bytes]:
        yield b"--x\r\nno header at all\r\r\r"

    with pytest.raises(ApiError):
        async for _ in parts("multipart/form-data; boundary=x", body()):
            pass
    assert capsys.readouterr().err == ""
