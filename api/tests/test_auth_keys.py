from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import pytest

from codesession_api.auth import reloaded
from codesession_api.auth.keys import ApiKeys
from codesession_api.settings import SettingsError


def line(tenant: str, key: bytes) -> str:
    return f"{tenant}:{hashlib.sha256(key).hexdigest()}\n"


def keys_file(path: Path, text: str, *, age: int = 0) -> Path:
    file = path / "keys"
    file.write_text(text)
    os.utime(file, ns=(age * 10**9, age * 10**9))
    return file


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloaded, "RELOAD_SECONDS", 0)


def test_a_key_is_its_tenant(tmp_path: Path) -> None:
    text = "# tenants\n\n" + line("acme", b"k1") + line("acme", b"k2") + line("other", b"k3")
    whose = ApiKeys(keys_file(tmp_path, text))
    first, second, third = whose(b"k1"), whose(b"k2"), whose(b"k3")
    assert first is not None
    assert third is not None
    assert first == second
    assert first.tenant != third.tenant
    assert {len(first.tenant), len(first.principal)} == {32}
    assert "acme" not in repr(first)
    assert not first.proved


def test_a_key_of_any_bytes_is_known(tmp_path: Path) -> None:
    assert ApiKeys(keys_file(tmp_path, line("acme", b"\xff\x00")))(b"\xff\x00")


@pytest.mark.parametrize("key", [b"", b"K1", b"k1 ", b"k", hashlib.sha256(b"k1").hexdigest().encode()])
def test_anything_else_is_nobody(tmp_path: Path, key: bytes) -> None:
    assert ApiKeys(keys_file(tmp_path, line("acme", b"k1")))(key) is None


@pytest.mark.parametrize("text", ["", line("acme", b"")])
def test_no_key_at_all_is_nobody_whatever_the_file_says(tmp_path: Path, text: str) -> None:
    assert ApiKeys(keys_file(tmp_path, text))(b"") is None


@pytest.mark.usefixtures("_at_once")
def test_the_file_is_read_again_when_it_changed(tmp_path: Path) -> None:
    whose = ApiKeys(keys_file(tmp_path, line("acme", b"old"), age=1))
    keys_file(tmp_path, line("acme", b"new"), age=2)
    assert whose(b"new")
    assert whose(b"old") is None


@pytest.mark.usefixtures("_at_once")
def test_a_file_that_turned_bad_locks_nobody_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whose = ApiKeys(keys_file(tmp_path, line("acme", b"k1"), age=1))
    keys_file(tmp_path, "half a li", age=2)
    with caplog.at_level(logging.ERROR):
        assert whose(b"k1")
    assert "line 1" in caplog.text
    assert "half" not in caplog.text


@pytest.mark.usefixtures("_at_once")
def test_a_file_that_is_gone_for_a_moment_locks_nobody_out(tmp_path: Path) -> None:
    file = keys_file(tmp_path, line("acme", b"k1"))
    whose = ApiKeys(file)
    file.unlink()
    assert whose(b"k1")
    keys_file(tmp_path, line("acme", b"k2"), age=2)
    assert whose(b"k2")
    assert whose(b"k1") is None


@pytest.mark.parametrize("text", ["acme", "acme:abc", "acme k1", "a b:" + "0" * 64, "k:" + "0" * 65])
def test_a_bad_line_stops_the_start_and_is_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="line 1") as refused:
        ApiKeys(keys_file(tmp_path, text))
    assert text not in str(refused.value)


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CODESESSION_API_KEYS_FILE cannot be used"):
        ApiKeys(tmp_path / "none")
