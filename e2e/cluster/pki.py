"""Certificates and kubeconfigs of one cluster, made with openssl."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.instance import NODE, Instance
from e2e.cluster.shell import run

SERVICE_ADDRESS = "10.96.0.1"
_DAYS = "3650"
_CURVE = ("-pkeyopt", "ec_paramgen_curve:prime256v1")
_NEW_KEY = ("-newkey", "ec", *_CURVE, "-nodes", "-keyout")


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate's subject as Kubernetes reads it: user, group; and the names that it serves."""

    name: str
    user: str
    group: str = "codesession"
    names: Sequence[str] = ()
    kubeconfig: bool = False


def identities(instance: Instance) -> list[Identity]:
    address = f"IP:{instance.node_address}"
    service = [f"DNS:{name}" for name in ("localhost", "kubernetes.default", "kubernetes.default.svc")]
    serving = [address, f"IP:{SERVICE_ADDRESS}", "IP:127.0.0.1", *service]
    return [
        Identity("apiserver", "kube-apiserver", names=serving),
        Identity("apiserver-kubelet", "kube-apiserver-kubelet", "system:masters"),
        Identity("front-proxy", "front-proxy"),
        Identity("kubelet", f"system:node:{NODE}", "system:nodes", [address, f"DNS:{NODE}"], True),
        Identity("admin", "admin", "system:masters", kubeconfig=True),
        Identity("controller-manager", "system:kube-controller-manager", kubeconfig=True),
        Identity("scheduler", "system:kube-scheduler", kubeconfig=True),
        Identity("proxy", "system:kube-proxy", "system:node-proxier", kubeconfig=True),
    ]


def create(instance: Instance, folder: Path) -> None:
    """Fill `folder`, which must not be there yet."""
    folder.mkdir(mode=0o700)
    subject = ["-subj", "/CN=codesession-e2e"]
    run(
        ["openssl", "req", "-x509", *_NEW_KEY, "ca.key", *subject, "-days", _DAYS, "-out", "ca.crt"],
        cwd=folder,
    )
    run(["openssl", "genpkey", "-algorithm", "EC", *_CURVE, "-out", "service-accounts.key"], cwd=folder)
    public = ["-pubout", "-out", "service-accounts.pub"]
    run(["openssl", "pkey", "-in", "service-accounts.key", *public], cwd=folder)
    for identity in identities(instance):
        _issue(identity, folder)
        if identity.kubeconfig:
            text = kubeconfig(instance, identity.name, folder)
            (folder / f"{identity.name}.kubeconfig").write_text(text)


def kubeconfig(instance: Instance, name: str, folder: Path) -> str:
    """JSON, which YAML readers take too; keys inline, so that the file may be copied."""

    def inline(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    cluster = {
        "server": f"https://{instance.node_address}:6443",
        "certificate-authority-data": inline("ca.crt"),
    }
    user = {
        "client-certificate-data": inline(f"{name}.crt"),
        "client-key-data": inline(f"{name}.key"),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": instance.name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": instance.name, "context": {"cluster": instance.name, "user": name}}],
        "current-context": instance.name,
    }
    return json.dumps(document, indent=1)


def _issue(identity: Identity, folder: Path) -> None:
    name = identity.name
    names = ",".join(identity.names or [f"DNS:{name}"])
    extensions = f"subjectAltName={names}\nextendedKeyUsage=clientAuth,serverAuth\n"
    (folder / f"{name}.ext").write_text(extensions)
    subject = f"/O={identity.group}/CN={identity.user}"
    run(
        ["openssl", "req", *_NEW_KEY, f"{name}.key", "-subj", subject, "-out", f"{name}.csr"],
        cwd=folder,
    )
    signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", _DAYS]
    files = ["-in", f"{name}.csr", "-extfile", f"{name}.ext", "-out", f"{name}.crt"]
    run(["openssl", "x509", "-req", *signing, *files], cwd=folder)
