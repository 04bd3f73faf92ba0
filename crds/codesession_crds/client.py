"""The one Kubernetes client of this project: raw JSON in and out, asynchronous, and only what is used.

The official models cost more time than the calls (kubernetes-client/python#2284), and the official exec
stream cannot end stdin. The official configuration loader is used all the same (`connection`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from functools import partial
from typing import Any, Self

import aiohttp

from codesession_crds.connection import Connection
from codesession_crds.errors import ApiStatusError, ApiUnreachableError
from codesession_crds.paths import resource_of
from codesession_crds.retry import retried
from codesession_crds.watch import Listing, WatchEvent, events

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"

_PAGE = 500
_TRANSPORT_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)

Object = dict[str, Any]
Listed = tuple[list[Object], str]
"""Objects, and the resource version of the list that they are of."""


class KubeClient:
    """Calls to one cluster. Paths are absolute (`paths.Resource.path`). Any call may raise ApiStatusError or
    ApiUnreachableError; calls that are safe to repeat are repeated a few times first."""

    def __init__(self, connection: Connection, *, timeout: float = 30.0) -> None:
        """`timeout` is in seconds, of one attempt."""
        self.connection = connection
        self.attempts: Counter[tuple[str, str]] = Counter()
        """Requests sent, by method and kind of object."""
        self._http = connection.session()
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    @classmethod
    async def connect(cls) -> Self:
        """To the cluster of this pod or of KUBECONFIG. Raises NoClusterError."""
        return cls(await Connection.load())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.close()
        await self.connection.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content_type: str = JSON,
        query: Mapping[str, str] | None = None,
        accept: str = JSON,
        idempotent: bool | None = None,
    ) -> Object:
        """One call. `idempotent` says whether it may be repeated; by default GET, PUT and DELETE may."""
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {"Accept": accept} if data is None else {"Accept": accept, "Content-Type": content_type}
        once = partial(self._once, method, path, data, headers, query)
        repeatable = method in ("GET", "PUT", "DELETE") if idempotent is None else idempotent
        return await retried(once, idempotent=repeatable)

    async def get(self, path: str) -> Object:
        return await self.request("GET", path)

    async def create(self, path: str, obj: Object, *, field_manager: str, idempotent: bool = False) -> Object:
        """The object as created. ApiStatusError 409 says that the name is taken: with `idempotent`, which
        repeats the call when no answer came, perhaps by the first attempt."""
        query = {"fieldManager": field_manager}
        return await self.request("POST", path, body=obj, query=query, idempotent=idempotent)

    async def apply(self, obj: Object, *, field_manager: str, subresource: str | None = None) -> Object:
        """Server-side apply, taking over fields that others had set."""
        metadata = obj["metadata"]
        return await self.request(
            "PATCH",
            resource_of(obj).path(metadata["namespace"], metadata["name"], subresource),
            body=obj,
            content_type=APPLY,
            query={"fieldManager": field_manager, "force": "true"},
            idempotent=True,
        )

    async def merge_patch(
        self, path: str, patch: Object, *, resource_version: str | None = None, idempotent: bool = False
    ) -> Object:
        """Change the fields in `patch`; null removes one. With `resource_version`, only while the object is
        at that version, else ApiStatusError 409."""
        if resource_version is not None:
            patch = {**patch, "metadata": {**patch.get("metadata", {}), "resourceVersion": resource_version}}
        return await self.request("PATCH", path, body=patch, content_type=MERGE_PATCH, idempotent=idempotent)

    async def delete(
        self,
        path: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_seconds: int | None = None,
        propagation: str = "Background",
    ) -> Object:
        """Delete if UID and version are the given ones, else ApiStatusError 409; 404 if it is gone. With a
        grace of 0 a pod goes without its node's word."""
        wanted = {"uid": uid, "resourceVersion": resource_version}
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        preconditions = {key: value for key, value in wanted.items() if value is not None}
        if preconditions:
            options["preconditions"] = preconditions
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        return await self.request("DELETE", path, body=options)

    async def list(self, path: str, *, query: Mapping[str, str] | None = None, accept: str = JSON) -> Listed:
        """All objects below a collection's path."""
        pages = [page async for page in self.pages(path, query=query, accept=accept)]
        return [item for items, _ in pages for item in items], pages[-1][1]

    async def pages(
        self, path: str, *, query: Mapping[str, str] | None = None, accept: str = JSON
    ) -> AsyncIterator[Listed]:
        """The same in pieces, for those who need not hold all objects at once; `limit` in the query says how
        many a piece has."""
        page = {"limit": str(_PAGE), **(query or {})}
        while True:
            answer = await self.request("GET", path, query=page, accept=accept)
            metadata = answer["metadata"]
            # null where metadata alone was asked for and there is none
            yield answer["items"] or [], metadata["resourceVersion"]
            if not metadata.get("continue"):
                return
            page["continue"] = metadata["continue"]

    def watch(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        inactivity: float = 70.0,
        listing: Listing | None = None,
    ) -> AsyncIterator[WatchEvent]:
        """The objects below a path, then their changes, for ever: see `watch.events`. With a `listing` of the
        caller's own, those that it gives."""
        return events(
            listing or partial(self.list, path, query=query),
            partial(self._open_watch, path, dict(query or {})),
            inactivity,
        )

    async def websocket(
        self, path: str, query: Iterable[tuple[str, str]], protocols: Iterable[str]
    ) -> aiohttp.ClientWebSocketResponse:
        """An open stream, such as `pods/exec`; `query` may repeat names. The caller closes it."""
        self._count("CONNECT", path)
        try:
            return await self._http.ws_connect(
                self.connection.server + path,
                params=list(query),
                protocols=tuple(protocols),
                max_msg_size=0,
                compress=0,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise ApiStatusError(error.status, "HandshakeRefused", f"HTTP {error.status}") from error
        except _TRANSPORT_ERRORS as error:
            raise ApiUnreachableError("CONNECT", path, error) from error

    async def _once(
        self,
        method: str,
        path: str,
        data: bytes | None,
        headers: dict[str, str],
        query: Mapping[str, str] | None,
    ) -> Object:
        self._count(method, path)
        try:
            async with self._http.request(
                method,
                self.connection.server + path,
                data=data,
                headers=headers,
                params=query,
                timeout=self._timeout,
            ) as response:
                body = await response.read()
        except _TRANSPORT_ERRORS as error:
            raise ApiUnreachableError(method, path, error) from error
        if response.status >= 400:
            raise ApiStatusError.from_answer(response.status, response.headers, body)
        answer: Object = json.loads(body)
        return answer

    async def _open_watch(
        self, path: str, selection: dict[str, str], query: dict[str, str]
    ) -> aiohttp.ClientResponse:
        self._count("WATCH", path)
        try:
            response = await self._http.get(
                self.connection.server + path,
                params={**selection, **query},
                headers={"Accept": JSON},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeout.total),
            )
        except _TRANSPORT_ERRORS as error:
            raise ApiUnreachableError("WATCH", path, error) from error
        if response.status >= 400:
            async with response:
                raise ApiStatusError.from_answer(response.status, response.headers, await response.read())
        return response

    def _count(self, method: str, path: str) -> None:
        _, _, rest = path.partition("/namespaces/")
        self.attempts[method, "/".join(rest.split("/")[1::2]) or path] += 1
