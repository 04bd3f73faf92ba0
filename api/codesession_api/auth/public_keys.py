"""The directory of `<kid>.pem` files that tokens are verified with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

_LEAST_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key, and the one algorithm that a token may name with it."""

    algorithm: Literal["EdDSA", "RS256"]
    key: Ed25519PublicKey | RSAPublicKey


def files(directory: Path) -> list[Path]:
    """In order. Kubernetes keeps hidden directories beside the links to what it mounts."""
    return sorted(
        path for path in directory.iterdir() if path.suffix == ".pem" and not path.name.startswith(".")
    )


def read(directory: Path) -> dict[str, VerifyingKey]:
    """By kid. Raises OSError, and ValueError with the name of the file."""
    return {path.stem: _key(path.name, path.read_bytes()) for path in files(directory)}


def _key(name: str, pem: bytes) -> VerifyingKey:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{name} is not a public key in PEM") from None
    if isinstance(key, Ed25519PublicKey):
        return VerifyingKey("EdDSA", key)
    if isinstance(key, RSAPublicKey) and key.key_size >= _LEAST_RSA_BITS:
        return VerifyingKey("RS256", key)
    raise ValueError(f"{name} is neither an Ed25519 key nor an RSA key of {_LEAST_RSA_BITS} bits or more")
