"""Principals of names: hashes, so that a claim or a key of the object store tells nobody's name."""

from __future__ import annotations

import hashlib

from codesession_api.ports import Principal

ANYONE = Principal(tenant="0" * 32, principal="0" * 32)
"""Who everybody is where no proof is asked for: a session's unguessable id is what protects it."""


def of_keys(tenant: str) -> Principal:
    """Keys can be rotated: all of a tenant's are one principal, and their sessions outlive each of them."""
    return Principal(tenant=_hash("tenant", tenant), principal=_hash("api-key", tenant))


def of_person(tenant: str, subject: str) -> Principal:
    """A tenant is the same one by its keys and by its people's tokens: a LibreChat that changes from keys to
    tokens keeps what all of the tenant can read when the keys file has called it by its tenant id."""
    home = _hash("tenant", tenant)
    return Principal(tenant=home, principal=_hash(f"person\0{home}", subject), proved=True)


def narrowed(by: Principal, user: str) -> Principal:
    """The one user of `by` whom the client names, so that its users do not see what each other's are. Who has
    the key can name any; no more than the key opens is opened by that."""
    return Principal(tenant=by.tenant, principal=_hash(f"user\0{by.principal}", user))


def _hash(kind: str, name: str) -> str:
    # A token's JSON can hold lone surrogates, which no encoding has.
    return hashlib.sha256(f"{kind}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
