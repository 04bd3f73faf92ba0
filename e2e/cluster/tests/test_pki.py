from __future__ import annotations

import ipaddress
import json
import subprocess
from pathlib import Path

import pytest

from e2e.cluster import pki
from e2e.cluster.instance import Instance

INSTANCE = Instance("abcdef", ipaddress.IPv4Network("10.200.7.0/24"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki") / "pki"
    pki.create(INSTANCE, folder)
    return folder


def openssl(*words: str | Path) -> str:
    return subprocess.run(["openssl", *words], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("identity", pki.identities(INSTANCE), ids=lambda identity: identity.name)
def test_the_ca_vouches_for_every_identity(folder: Path, identity: pki.Identity) -> None:
    certificate = folder / f"{identity.name}.crt"
    assert openssl("verify", "-CAfile", folder / "ca.crt", certificate).endswith(": OK\n")
    subject = openssl("x509", "-in", certificate, "-noout", "-subject", "-nameopt", "RFC2253")
    assert subject.strip() == f"subject=CN={identity.user},O={identity.group}"


def test_the_apiserver_may_be_called_by_address_and_by_name(folder: Path) -> None:
    names = openssl("x509", "-in", folder / "apiserver.crt", "-noout", "-ext", "subjectAltName")
    for name in ("10.200.7.2", "10.96.0.1", "kubernetes.default.svc"):
        assert name in names


def test_the_administrators_file_needs_no_other(folder: Path) -> None:
    parsed = json.loads((folder / "admin.kubeconfig").read_text())
    assert parsed["clusters"][0]["cluster"]["server"] == "https://10.200.7.2:6443"
    assert set(parsed["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


def test_nobody_else_reads_the_keys(folder: Path) -> None:
    assert folder.stat().st_mode & 0o077 == 0
