"""LibreChat's tokens, minted here as it mints them, and all that can be wrong with one."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from codesession_api.auth import claims, principals, reloaded
from codesession_api.auth.tokens import Tokens
from codesession_api.settings import SettingsError

ED, RSA = "lc-codeapi-2026-05", "rsa.2026"

Changes = dict[str, Any]


@cache
def private_key(kid: str) -> Any:
    """One for each name, an RSA key where the name begins so."""
    if kid.startswith("rsa"):
        return rsa.generate_private_key(65537, 2048)
    return ed25519.Ed25519PrivateKey.generate()


def public_pem(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def private_pem(key: Any) -> bytes:
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


def claimed(**changes: Any) -> Changes:
    """Those of a good token, with times given in seconds from now; None leaves one out."""
    now = int(time.time())
    texts = {"iss": "librechat", "aud": "codeapi", "sub": "64b7f0000000000000000001", "jti": "1-2-3"}
    who = {"tenant_id": "legacy", "role": "USER", "principal_source": "librechat_jwt"}
    times = {name: now + changes.pop(name, usual) for name, usual in (("iat", 0), ("nbf", 0), ("exp", 300))}
    made: Changes = {**texts, **who, **times, **changes}
    made = {name: value for name, value in made.items() if value is not None}
    return {"auth_context_hash": claims.context_hash(made), **made}


def without(name: str) -> Changes:
    made = claimed()
    del made[name]
    return made


def token(made: Changes | None = None, kid: str | None = ED, signer: str | None = None, **header: Any) -> str:
    key = private_key(signer or kid or ED)
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "EdDSA"
    headers = {} if kid is None else {"kid": kid}
    made = claimed() if made is None else made
    return jwt.encode(made, private_pem(key).decode(), algorithm, headers=headers | header)


def encoded(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def hand_made(header: Any, made: Any, sign: Callable[[bytes], bytes]) -> str:
    signed = f"{encoded(header)}.{encoded(made)}"
    return f"{signed}.{encoded(sign(signed.encode()))}"


def hmac_with_public_key(text: bytes, *, kid: str) -> bytes:
    return hmac.new(public_pem(private_key(kid)), text, "sha256").digest()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    keys = tmp_path / "keys"
    keys.mkdir()
    for kid in (ED, RSA):
        (keys / f"{kid}.pem").write_bytes(public_pem(private_key(kid)))
    return keys


@pytest.fixture
def whose(directory: Path) -> Tokens:
    return Tokens(directory, issuer="librechat", audience="codeapi")


@pytest.mark.parametrize("kid", [ED, RSA])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"role": ""},
        {"principal_source": "openid_reuse", "chc_user_id": "x", "org_id": "o", "service_id": "s"},
        {"plan_id": "p", "something": {"new": [1]}},
        {"code_worker_id": "w1"},
        {"iat": -100, "nbf": -100, "exp": 200},
        {"exp": 1},
        # Clocks may differ by half a minute, either way.
        {"iat": -300, "nbf": -300, "exp": -27},
        {"iat": 27, "nbf": 27},
    ],
)
def test_a_good_token_is_a_person(whose: Tokens, kid: str, changes: Changes) -> None:
    person = whose(token(claimed(**changes), kid).encode())
    assert person == principals.of_person("legacy", "64b7f0000000000000000001")
    assert person is not None
    assert person.proved


def test_a_token_can_be_used_again(whose: Tokens) -> None:
    minted = token().encode()
    assert whose(minted) == whose(minted) != None  # noqa: E711


@pytest.mark.parametrize(("one", "other"), [({"sub": "a"}, {"sub": "b"}), ({}, {"tenant_id": "t2"})])
def test_people_are_told_apart(whose: Tokens, one: Changes, other: Changes) -> None:
    first, second = (whose(token(claimed(**changes)).encode()) for changes in (one, other))
    assert first is not None
    assert second is not None
    assert first.principal != second.principal
    assert (first.tenant == second.tenant) == ("tenant_id" not in other)


@pytest.mark.parametrize("name", claims.REQUIRED)
def test_no_required_claim_may_be_missing(whose: Tokens, name: str) -> None:
    assert whose(token(without(name)).encode()) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "other"},
        {"aud": "other"},
        {"aud": ["codeapi", "other"]},
        {"sub": ""},
        {"sub": 7},
        {"tenant_id": ""},
        {"tenant_id": 7},
        {"tenant_id": ["legacy"]},
        {"jti": ""},
        {"jti": 7},
        {"role": 7},
        {"principal_source": "local"},
        {"principal_source": ["librechat_jwt"]},
        {"org_id": 7},
        {"code_worker_id": 7},
        # Expired, not yet valid, made in the future, longer lived than any of LibreChat.
        {"iat": -330, "nbf": -330, "exp": -31},
        {"iat": 0, "nbf": 33},
        {"iat": 33, "nbf": 0},
        {"exp": 301},
        {"iat": -10, "exp": -10},
        {"iat": -10, "exp": -11},
    ],
)
def test_no_claim_may_be_wrong(whose: Tokens, changes: Changes) -> None:
    assert whose(token(claimed(**changes)).encode()) is None


@pytest.mark.parametrize("name", ["iat", "nbf", "exp"])
@pytest.mark.parametrize("value", ["now", 1.5, True, None, [], float("inf"), float("nan"), 10**400])
def test_times_are_whole_numbers(whose: Tokens, name: str, value: Any) -> None:
    made = claimed() | {name: str(int(time.time())) if value == "now" else value}
    signed = hand_made({"alg": "EdDSA", "kid": ED}, made, private_key(ED).sign)
    assert whose(signed.encode()) is None


@pytest.mark.parametrize("name", ["sub", "tenant_id", "role", "principal_source"])
def test_what_says_who_it_is_must_be_in_the_hash(whose: Tokens, name: str) -> None:
    changed = {"principal_source": "openid_reuse"}.get(name, "changed")
    assert whose(token(claimed() | {name: changed}).encode()) is None


@pytest.mark.parametrize("name", ["org_id", "service_id", "chc_user_id"])
def test_so_must_what_may_be_absent(whose: Tokens, name: str) -> None:
    made = claimed(**{name: "x"})
    assert whose(token(made).encode())
    assert whose(token(made | {name: "y"}).encode()) is None
    del made[name]
    assert whose(token(made).encode()) is None


def test_a_worker_may_be_in_the_hash_or_not(whose: Tokens) -> None:
    made = claimed(code_worker_id="w1")
    hashed = {worker: claims.context_hash(made, worker=worker) for worker in (True, False)}
    assert hashed[True] != hashed[False]
    for value in hashed.values():
        assert whose(token(made | {"auth_context_hash": value}).encode())
    del made["code_worker_id"]
    assert whose(token(made | {"auth_context_hash": hashed[True]}).encode()) is None


@pytest.mark.parametrize("value", ["", "0" * 64, 7, ["0" * 64], None])
def test_another_hash_is_refused(whose: Tokens, value: Any) -> None:
    assert whose(token(claimed() | {"auth_context_hash": value}).encode()) is None


@pytest.mark.parametrize(
    "minted",
    [
        lambda: token(kid="unknown"),
        lambda: token(kid=None),
        lambda: token(kid=ED, signer="another"),
        lambda: token(kid=ED, signer=RSA),
        lambda: token(kid=RSA, signer=ED),
        lambda: token(kid=RSA, signer="rsa-another"),
        lambda: token(kid=f"../keys/{ED}"),
        lambda: token(kid=f"{ED}.pem"),
        lambda: token(crit=["exp"]),
        lambda: hand_made({"alg": "none", "kid": ED}, claimed(), lambda text: b""),
        lambda: hand_made({"alg": "None", "kid": ED}, claimed(), private_key(ED).sign),
        lambda: hand_made({"kid": ED}, claimed(), private_key(ED).sign),
        lambda: hand_made({"alg": "RS256", "kid": ED}, claimed(), private_key(ED).sign),
        lambda: hand_made({"alg": "EdDSA", "kid": RSA}, claimed(), private_key(ED).sign),
        lambda: hand_made({"alg": "EdDSA", "kid": 7}, claimed(), private_key(ED).sign),
        lambda: hand_made({"alg": "EdDSA", "kid": [ED]}, claimed(), private_key(ED).sign),
        lambda: hand_made({"alg": "EdDSA", "kid": ED, "b64": False}, claimed(), private_key(ED).sign),
        lambda: hand_made([], claimed(), private_key(ED).sign),
        lambda: hand_made({"alg": "EdDSA", "kid": ED}, ["claims"], private_key(ED).sign),
        lambda: hand_made({"alg": "EdDSA", "kid": ED}, b"\xff", private_key(ED).sign),
        lambda: hand_made(b"[" * 4000, claimed(), private_key(ED).sign),
        lambda: hand_made({"alg": "EdDSA", "kid": ED}, b"[" * 4000, private_key(ED).sign),
        lambda: hand_made(b'{"kid":' + b"9" * 5000 + b"}", claimed(), private_key(ED).sign),
        lambda: token(claimed(padding="x" * 8192)),
        lambda: token() + ".",
        lambda: "." + token(),
        lambda: token().rpartition(".")[0] + ".",
        lambda: "..",
        lambda: "",
        lambda: "é.é.é",
    ],
)
def test_no_forged_token_is_anybodys(whose: Tokens, minted: Callable[[], str]) -> None:
    assert whose(minted().encode()) is None


@pytest.mark.parametrize("kid", [ED, RSA])
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "RS256", "EdDSA"])
def test_a_public_key_is_no_secret_to_sign_with(whose: Tokens, kid: str, algorithm: str) -> None:
    minted = hand_made(
        {"alg": algorithm, "typ": "JWT", "kid": kid},
        claimed(),
        lambda text: hmac_with_public_key(text, kid=kid),
    )
    assert whose(minted.encode()) is None


@pytest.mark.parametrize("kid", [ED, RSA])
def test_no_byte_of_a_token_can_be_changed(whose: Tokens, kid: str) -> None:
    minted = token(kid=kid).encode()
    # The last character of a part carries bits that no byte has.
    ends = {at - 1 for at, byte in enumerate(minted) if byte == ord(".")} | {len(minted) - 1}
    for at in set(range(0, len(minted), 7)) - ends:
        other = b"B" if minted[at : at + 1] == b"A" else b"A"
        assert whose(minted[:at] + other + minted[at + 1 :]) is None, at


def write(directory: Path, kid: str, pem: bytes) -> None:
    (directory / f"{kid}.pem").write_bytes(pem)


def test_keys_are_rotated_while_it_runs(
    whose: Tokens, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = token().encode(), token(kid="new").encode()
    assert (whose(old) is None, whose(new) is None) == (False, True)
    monkeypatch.setattr(reloaded, "RELOAD_SECONDS", 0)
    write(directory, "new", public_pem(private_key("new")))
    assert whose(old)
    assert whose(new)
    (directory / f"{ED}.pem").unlink()
    assert whose(old) is None
    assert whose(new)
    for file in directory.iterdir():
        file.unlink()
    assert whose(new) is None


def test_a_mounted_config_map_changes_by_one_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kubelet does it: each file is a link through `..data`, which is swapped."""
    monkeypatch.setattr(reloaded, "RELOAD_SECONDS", 0)
    volume = tmp_path / "volume"
    for version, signer in (("..1", "first"), ("..2", "second")):
        (volume / version).mkdir(parents=True)
        write(volume / version, "kid", public_pem(private_key(signer)))
        os.utime(volume / version / "kid.pem", (0, 0))
    (volume / "..data").symlink_to("..1")
    (volume / "kid.pem").symlink_to("..data/kid.pem")
    whose = Tokens(volume, issuer="librechat", audience="codeapi")
    first, second = (token(kid="kid", signer=signer).encode() for signer in ("first", "second"))
    assert (whose(first) is None, whose(second) is None) == (False, True)
    (volume / "..data_tmp").symlink_to("..2")
    (volume / "..data_tmp").rename(volume / "..data")
    assert (whose(first) is None, whose(second) is None) == (True, False)


def test_a_directory_that_turned_bad_locks_nobody_out(
    whose: Tokens, directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reloaded, "RELOAD_SECONDS", 0)
    write(directory, "half", public_pem(private_key(ED))[:60])
    with caplog.at_level(logging.ERROR):
        assert whose(token().encode())
    assert "half.pem is not a public key" in caplog.text
    shutil.rmtree(directory)
    assert whose(token().encode())


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        (b"", "k.pem is not a public key in PEM"),
        (b"half a key", "k.pem is not a public key in PEM"),
        (private_pem(ed25519.Ed25519PrivateKey.generate()), "k.pem is not a public key in PEM"),
        (public_pem(ec.generate_private_key(ec.SECP256R1())), "k.pem is neither"),
        (public_pem(rsa.generate_private_key(65537, 1024)), "k.pem is neither"),
    ],
)
def test_a_key_that_cannot_be_used_stops_the_start(tmp_path: Path, pem: bytes, said: str) -> None:
    write(tmp_path, "k", pem)
    with pytest.raises(SettingsError, match="CODESESSION_JWT_KEYS cannot be used: ") as refused:
        Tokens(tmp_path, issuer="librechat", audience="codeapi")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_directory_without_keys_stops_the_start(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(SettingsError, match="CODESESSION_JWT_KEYS"):
            Tokens(path, issuer="librechat", audience="codeapi")


MINT = """
const crypto = require('crypto');
const { alg, key, sub, org, worker } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const now = Math.floor(Date.now() / 1000);
const context = { chc_user_id: '', org_id: org, principal_source: 'librechat_jwt', role: 'USER',
  service_id: '', sub, tenant_id: 'legacy' };
if (worker) Object.assign(context, { code_worker_id: worker });
const sorted = Object.fromEntries(Object.entries(context).sort(([a], [b]) => (a < b ? -1 : 1)));
const claims = { iss: 'librechat', aud: 'codeapi', sub, iat: now, nbf: now, exp: now + 300,
  jti: crypto.randomUUID(), tenant_id: 'legacy', role: 'USER', principal_source: 'librechat_jwt', org_id: org,
  ...(worker ? { code_worker_id: worker } : {}),
  auth_context_hash: crypto.createHash('sha256').update(JSON.stringify(sorted)).digest('hex') };
const text = `${part({ alg, typ: 'JWT', kid: 'node' })}.${part(claims)}`;
const signature = crypto.sign(alg === 'RS256' ? 'RSA-SHA256' : null, Buffer.from(text), key);
process.stdout.write(`${text}.${signature.toString('base64url')}`);
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
@pytest.mark.parametrize("signer", ["node", "rsa-node"])
@pytest.mark.parametrize(
    ("sub", "org", "worker"),
    [
        ("64b7f0000000000000000001", "org", ""),
        ("plain", "org", "w1"),
        ("jürgen 日本 😀", 'quote " back \\ slash /', ""),
        ("tab\tnewline\n\r\b\f\x00\x1f\x7f", "\u2028\u2029\u00a0\ufeff", "wörker"),
        ("lone \ud83d surrogate", "</script>&'", ""),
    ],
)
def test_what_node_mints_is_understood(
    directory: Path, whose: Tokens, signer: str, sub: str, org: str, worker: str
) -> None:
    key = private_key(signer)
    write(directory, "node", public_pem(key))
    alg = "RS256" if signer.startswith("rsa") else "EdDSA"
    order = {"alg": alg, "key": private_pem(key).decode(), "sub": sub, "org": org, "worker": worker}
    done = subprocess.run(["node", "-e", MINT], input=json.dumps(order), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    whose = Tokens(directory, issuer="librechat", audience="codeapi")
    assert whose(done.stdout.encode()) == principals.of_person("legacy", sub)
