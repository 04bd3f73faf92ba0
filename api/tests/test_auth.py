from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import pytest

from codesession_api import auth
from codesession_api.auth import ApiKeys, authenticator
from codesession_api.errors import ApiError
from codesession_api.settings import SettingsError, load


def line(tenant: str, key: str) -> str:
    return f"{tenant}:{hashlib.sha256(key.encode()).hexdigest()}\n"


def keys_file(path: Path, text: str, *, age: int = 0) -> Path:
    file = path / "keys"
    file.write_text(text)
    os.utime(file, ns=(age * 10**9, age * 10**9))
    return file


def test_a_key_is_its_tenant(tmp_path: Path) -> None:
    text = "# tenants\n\n" + line("acme", "k1") + line("acme", "k2") + line("other", "k3")
    authenticate = ApiKeys(keys_file(tmp_path, text))
    first, second, third = (authenticate({"x-api-key": key}) for key in ("k1", "k2", "k3"))
    assert first == second
    assert first.tenant != third.tenant
    assert {len(first.tenant), len(first.principal)} == {32}
    assert "acme" not in repr(first)


@pytest.mark.parametrize("headers", [{}, {"x-api-key": ""}, {"x-api-key": "K1"}, {"x-api-key": "k1 "}])
def test_anything_else_is_nobody(tmp_path: Path, headers: dict[str, str]) -> None:
    authenticate = ApiKeys(keys_file(tmp_path, line("acme", "k1")))
    with pytest.raises(ApiError) as refused:
        authenticate(headers)
    assert refused.value.status == 401


def test_no_key_at_all_is_nobody_even_where_the_file_is_empty(tmp_path: Path) -> None:
    with pytest.raises(ApiError):
        ApiKeys(keys_file(tmp_path, ""))({})


def test_the_file_is_read_again_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_RELOAD_SECONDS", 0)
    authenticate = ApiKeys(keys_file(tmp_path, line("acme", "old"), age=1))
    keys_file(tmp_path, line("acme", "new"), age=2)
    assert authenticate({"x-api-key": "new"})
    with pytest.raises(ApiError):
        authenticate({"x-api-key": "old"})


def test_a_file_that_turned_bad_locks_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(auth, "_RELOAD_SECONDS", 0)
    authenticate = ApiKeys(keys_file(tmp_path, line("acme", "k1"), age=1))
    keys_file(tmp_path, "half a li", age=2)
    with caplog.at_level(logging.ERROR):
        assert authenticate({"x-api-key": "k1"})
    assert "line 1" in caplog.text
    assert "half" not in caplog.text


@pytest.mark.parametrize("text", ["acme", "acme:abc", "acme k1", "a b:" + "0" * 64])
def test_a_bad_line_stops_the_start_and_is_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="line 1") as refused:
        ApiKeys(keys_file(tmp_path, text))
    assert text not in str(refused.value)


def test_authentication_must_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CODESESSION_AUTH"):
        authenticator(load(backend="local"))
    assert authenticator(load(backend="local", auth="none"))({})
    with pytest.raises(SettingsError, match="CODESESSION_API_KEYS_FILE"):
        authenticator(load(backend="local", auth="api-key", api_keys_file=tmp_path / "none"))
