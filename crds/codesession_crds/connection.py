"""How to reach the API server: address, TLS and a token that stays fresh, from the pod or from KUBECONFIG."""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.client_middlewares import ClientHandlerType

from codesession_crds.errors import KubeError

_TOKEN_CHECK_SECONDS = 60


class NoClusterError(KubeError):
    """Neither a service account nor a kubeconfig says where a cluster is."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A cluster's address and the credentials for it."""

    server: str
    configuration: Any
    """kubernetes.aio's; asked for the token at every request, since tokens rotate."""
    tls: ssl.SSLContext | bool
    refresh: asyncio.Task[None] | None = None
    """Renews tokens that come from a kubeconfig's command."""

    @classmethod
    async def load(cls) -> Connection:
        """From KUBECONFIG if set, else from the pod's service account, else from ~/.kube/config."""
        # Only users of a cluster pay for this import: a second and 25 MB.
        config: Any = import_module("kubernetes.aio.config")
        configuration = import_module("kubernetes.aio.client").Configuration()
        refresh = None
        if not os.environ.get("KUBECONFIG") and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=configuration)
        else:
            loader = await config.load_kube_config(_kubeconfig(), client_configuration=configuration)
            refresh = _refreshing(config, loader, configuration)
        return cls(configuration.host.rstrip("/"), configuration, _tls(configuration), refresh)

    def session(self) -> aiohttp.ClientSession:
        """A new HTTP session for this cluster; whoever asks for it closes it."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self.tls, limit=0),
            middlewares=(self._prepare,),
            proxy=self.configuration.proxy,
            headers={"User-Agent": "codesession"},
        )

    async def _prepare(
        self, request: aiohttp.ClientRequest, handler: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """For whoever uses the session, kopf among them: a fresh token, and the certificate's name."""
        request.server_hostname = self.configuration.tls_server_name
        token = await self.configuration.get_api_key_with_prefix("BearerToken")
        if token:
            scheme, _, value = token.partition(" ")
            request.headers["Authorization"] = f"{scheme.capitalize()} {value.strip()}"
        return await handler(request)

    async def aclose(self) -> None:
        if self.refresh is not None:
            self.refresh.cancel()


def _kubeconfig() -> str:
    path = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if not any(Path(part).is_file() for part in path.split(os.pathsep)):
        raise NoClusterError(f"no cluster: {path} does not exist and this is no pod")
    return path


def _refreshing(config: Any, loader: Any, configuration: Any) -> asyncio.Task[None] | None:
    user = loader._user  # as kubernetes.aio's own refresh_token reads it
    if loader.provider != "gcp" and (user is None or "exec" not in user):
        return None
    return asyncio.create_task(config.refresh_token(loader, configuration, _TOKEN_CHECK_SECONDS))


def _tls(configuration: Any) -> ssl.SSLContext | bool:
    if not configuration.host.startswith("https"):
        return False
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    # Python 3.13 began to refuse CAs without a key identifier, which clusters still have.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
