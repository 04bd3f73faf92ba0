"""What follows from everything that a request presents, with checks that know one secret each."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.datastructures import Headers

from codesession_api.auth import authenticator
from codesession_api.auth.combined import Combined
from codesession_api.auth.credentials import Credential
from codesession_api.auth.principals import of_keys, of_person
from codesession_api.errors import Unauthorized
from codesession_api.ports import Principal
from codesession_api.settings import Settings, SettingsError, Way, load

ACME, OTHER = of_keys("acme"), of_keys("other")
ANN = of_person("acme", "ann")
KEYS = {b"acme": ACME, b"acme2": ACME, b"other": OTHER}
TOKENS = {b"ann": ANN, b"bob": of_person("acme", "bob")}

KEY_WAYS: tuple[Way, ...] = ("api-key", "basic", "path-key")
ALL: tuple[Way, ...] = (*KEY_WAYS, "jwt")


def decide(on: tuple[Way, ...], *given: tuple[Way, bytes]) -> Principal | None:
    combined = Combined({way: TOKENS.get if way == "jwt" else KEYS.get for way in on})
    try:
        return combined.judge(Credential(way, secret) for way, secret in given)
    except Unauthorized:
        return None


@pytest.mark.parametrize(
    ("on", "given", "who"),
    [
        # Nothing that counts.
        (ALL, [], None),
        (("jwt",), [], None),
        (("jwt",), [("api-key", b"acme")], None),
        (("api-key",), [("jwt", b"ann")], None),
        (("api-key",), [("basic", b"acme")], None),
        (("basic",), [("path-key", b"acme")], None),
        # One, good or bad.
        *[((way,), [(way, b"acme")], ACME) for way in KEY_WAYS],
        *[((way,), [(way, b"wrong")], None) for way in ALL],
        *[((way,), [(way, b"")], None) for way in ALL],
        (("jwt",), [("jwt", b"ann")], ANN),
        # A key beside a token, as LibreChat's liveness probe sends them.
        (ALL, [("api-key", b"acme"), ("jwt", b"ann")], ANN),
        (ALL, [("api-key", b"other"), ("jwt", b"ann")], ANN),
        (ALL, [("api-key", b"wrong"), ("jwt", b"ann")], None),
        (ALL, [("api-key", b"acme"), ("jwt", b"wrong")], None),
        (("jwt",), [("api-key", b"wrong"), ("jwt", b"ann")], ANN),
        (("api-key",), [("api-key", b"acme"), ("jwt", b"wrong")], ACME),
        (ALL, [("path-key", b"acme"), ("jwt", b"ann")], ANN),
        (ALL, [("path-key", b"wrong"), ("jwt", b"ann")], None),
        (("api-key", "jwt"), [("path-key", b"wrong"), ("basic", b"wrong"), ("jwt", b"ann")], ANN),
        # Several of one kind have to agree.
        (ALL, [("api-key", b"acme"), ("basic", b"acme2"), ("path-key", b"acme")], ACME),
        (ALL, [("api-key", b"acme"), ("path-key", b"other")], None),
        (ALL, [("api-key", b"acme"), ("api-key", b"wrong")], None),
        (ALL, [("jwt", b"ann"), ("jwt", b"ann")], ANN),
        (ALL, [("jwt", b"ann"), ("jwt", b"bob")], None),
    ],
)
def test_who_a_request_is_from(
    on: tuple[Way, ...], given: list[tuple[Way, bytes]], who: Principal | None
) -> None:
    found = decide(on, *given)
    assert found == who
    assert (found.proved if found else None) == (who.proved if who else None)


def test_a_person_is_one_of_the_tenant_and_nobody_else_in_it() -> None:
    assert ANN.tenant == ACME.tenant
    assert len({ANN.principal, ACME.principal, of_person("acme", "bob").principal}) == 3
    assert ANN.principal != of_person("other", "ann").principal


def test_that_somebody_is_proved_makes_no_other_principal_of_them() -> None:
    assert Principal(ANN.tenant, ANN.principal) == ANN
    assert hash(Principal(ANN.tenant, ANN.principal)) == hash(ANN)


@pytest.mark.parametrize(
    ("on", "challenge"),
    [
        (("api-key",), 'Bearer realm="codesession"'),
        (("jwt", "api-key"), 'Bearer realm="codesession"'),
        (("basic", "jwt"), 'Basic realm="codesession", Bearer realm="codesession"'),
        (("path-key",), 'Path-Key realm="codesession"'),
    ],
)
def test_a_refusal_names_the_schemes_that_are_on_and_nothing_else(
    on: tuple[Way, ...], challenge: str
) -> None:
    combined = Combined(dict.fromkeys(on, KEYS.get))
    refusals = []
    for given in ([], [Credential(on[0], b"wrong")]):
        with pytest.raises(Unauthorized) as refused:
            combined.judge(given)
        refusals.append((refused.value.status, refused.value.body(), refused.value.headers()))
    assert refusals[0] == refusals[1]
    assert refusals[0][0] == 401
    assert refusals[0][2] == {"WWW-Authenticate": challenge}


def settings(**given: object) -> Settings:
    return load(backend="local", **given)


def test_authentication_must_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CODESESSION_AUTH"):
        authenticator(settings())
    assert authenticator(settings(auth="none"))(Headers({"X-API-Key": "whatever"}), "whatever")
    with pytest.raises(SettingsError, match="CODESESSION_API_KEYS_FILE"):
        authenticator(settings(auth="api-key", api_keys_file=tmp_path / "none"))
    with pytest.raises(SettingsError, match="CODESESSION_JWT_KEYS"):
        authenticator(settings(auth="jwt", jwt_keys=tmp_path / "none"))
