"""Objects on an S3 server, by the `minio` client: it blocks, so its calls run in threads.

An upload goes through in parts, some being sent and one being collected, whatever the size of the object and
the speed of either side. Requests are tried again by urllib3, below the client, where it is known whether a
request can be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

import certifi
import urllib3
from minio import Minio
from minio.commonconfig import REPLACE, CopySource
from minio.datatypes import Object, Part
from minio.error import MinioException, S3Error
from minio.helpers import DictType
from urllib3.exceptions import HTTPError

from codesession_api.errors import ObjectMissing, ObjectsUnavailable
from codesession_api.ports import ObjectInfo
from codesession_api.settings import MIB, Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

PART_BYTES = 5 * MIB
"""The least that S3 takes as a part of an upload."""
CHUNK_BYTES = MIB
"""What one call into a thread reads of a download."""

_PARTS_UNDER_WAY = 2
_THREADS = 32
_TIMEOUT = urllib3.Timeout(connect=5, read=60)
_RETRY = urllib3.Retry(total=3, backoff_factor=0.1, backoff_jitter=0.1, status_forcelist=[500, 502, 503, 504])
_META = "x-amz-meta-"
_MISSING = frozenset({"NoSuchKey", "NoSuchObject", "NoSuchVersion"})


class S3Objects:
    """One bucket, which `open` and `check` make if it is missing."""

    def __init__(self, client: Minio, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3")

    @classmethod
    async def open(cls, settings: Settings) -> S3Objects:
        """A server that does not answer yet is no reason not to start: `check` tells until it does."""
        objects = cls(_client(settings), settings.s3_bucket)
        try:
            await objects.check()
        except ObjectsUnavailable as error:
            log.warning("started without the file storage: %s", error)
        return objects

    async def put(
        self,
        key: str,
        chunks: AsyncIterator[bytes],
        *,
        size: int | None = None,
        content_type: str = "application/octet-stream",
        metadata: dict[str, str] | None = None,
    ) -> ObjectInfo:
        body = _Parts(chunks)
        first = await body.take()
        headers = {f"{_META}{name}": value for name, value in (metadata or {}).items()}
        headers["Content-Type"] = content_type
        if len(first) < PART_BYTES:
            result = await self._call(self._client._put_object, self._bucket, key, first, headers)
        else:
            result = await self._put_parts(key, first, body, headers)
        return ObjectInfo(key, body.size, result.etag or "", datetime.now(UTC), content_type, metadata or {})

    async def _put_parts(self, key: str, first: bytes, body: _Parts, headers: dict[str, str]) -> Any:
        """The client can do this too, but on a failure it leaves threads behind that wait for ever."""
        upload = await self._call(self._client._create_multipart_upload, self._bucket, key, headers)
        sending: list[asyncio.Task[Part]] = []
        try:
            data = first
            while data:
                sending.append(asyncio.create_task(self._put_part(key, upload, len(sending) + 1, data)))
                if len(sending) >= _PARTS_UNDER_WAY:
                    await sending[-_PARTS_UNDER_WAY]
                data = await body.take()
            parts = await asyncio.gather(*sending)
            return await self._call(self._client._complete_multipart_upload, self._bucket, key, upload, parts)
        except BaseException:
            await asyncio.shield(self._abandon(key, upload, sending))
            raise

    async def _put_part(self, key: str, upload: str, number: int, data: bytes) -> Part:
        etag = await self._call(self._client._upload_part, self._bucket, key, data, None, upload, number)
        return Part(number, etag)

    async def _abandon(self, key: str, upload: str, sending: list[asyncio.Task[Part]]) -> None:
        """A part that arrives after the upload was aborted would stay: those under way are waited for."""
        await asyncio.gather(*sending, return_exceptions=True)
        with contextlib.suppress(ObjectMissing, ObjectsUnavailable):
            await self._call(self._client._abort_multipart_upload, self._bucket, key, upload)

    async def head(self, key: str) -> ObjectInfo:
        return _info(await self._call(self._client.stat_object, self._bucket, key))

    async def get(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if length == 0:
            return
        download = _Download(self._client, self._bucket, key, offset, length)
        try:
            while chunk := await self._call(download.read):
                yield chunk
        finally:
            self._threads.submit(download.close)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        items = self._client.list_objects(self._bucket, prefix=prefix, recursive=True)
        while page := await self._call(_take, items):
            for item in page:
                yield _info(item)

    async def touch(self, key: str) -> None:
        await self._call(_touch, self._client, self._bucket, key)

    async def delete(self, key: str) -> bool:
        try:
            await self.head(key)
        except ObjectMissing:
            return False
        await self._call(self._client.remove_object, self._bucket, key)
        return True

    async def check(self) -> None:
        await self._call(_ensure_bucket, self._client, self._bucket)

    async def _call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run in a thread, errors mapped."""
        call = functools.partial(function, *args, **kwargs)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except S3Error as error:
            if error.code in _MISSING:
                raise ObjectMissing from None
            log.warning("S3 refused: %s", error.code)
            raise ObjectsUnavailable(f"S3 answered {error.code}") from error
        except (MinioException, HTTPError, OSError) as error:
            log.warning("S3 failed: %s", type(error).__name__)
            raise ObjectsUnavailable(f"S3 failed: {type(error).__name__}") from error


class _Parts:
    """The bytes of an iterator in parts of `PART_BYTES`, but for the last."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self.size = 0
        self._chunks = chunks
        self._rest = b""

    async def take(self) -> bytes:
        """The next part; empty when there is none."""
        data = bytearray(self._rest)
        while len(data) < PART_BYTES:
            chunk = await anext(self._chunks, b"")
            if not chunk:
                break
            data += chunk
        self._rest = bytes(data[PART_BYTES:])
        part = bytes(memoryview(data)[:PART_BYTES])
        self.size += len(part)
        return part


class _Download:
    """An answer being read. One thread at a time is in it: that of a cancelled reader goes on reading."""

    def __init__(self, client: Minio, bucket: str, key: str, offset: int, length: int | None) -> None:
        self._open = functools.partial(client.get_object, bucket, key, offset, length or 0)
        self._response: urllib3.BaseHTTPResponse | None = None
        self._lock = threading.Lock()
        self._whole = False

    def read(self) -> bytes:
        with self._lock:
            if self._response is None and not self._begin():
                return b""
            assert self._response is not None
            chunk = self._response.read(CHUNK_BYTES)
            self._whole = not chunk
            return chunk

    def _begin(self) -> bool:
        """Whether there is anything at the offset."""
        try:
            self._response = self._open()
        except S3Error as error:
            if error.code != "InvalidRange":
                raise
        return self._response is not None

    def close(self) -> None:
        """A connection with bytes still to come is of no use to another request."""
        with self._lock:
            if self._response is None:
                return
            if not self._whole:
                self._response.close()
            self._response.release_conn()


def _client(settings: Settings) -> Minio:
    assert settings.s3_endpoint is not None
    assert settings.s3_access_key is not None
    assert settings.s3_secret_key is not None
    pool = urllib3.PoolManager(
        maxsize=_THREADS,
        timeout=_TIMEOUT,
        retries=_RETRY,
        cert_reqs="CERT_REQUIRED",
        ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
    )
    return Minio(
        settings.s3_endpoint,
        settings.s3_access_key.get_secret_value(),
        settings.s3_secret_key.get_secret_value(),
        secure=settings.s3_secure,
        region=settings.s3_region,
        http_client=pool,
    )


def _ensure_bucket(client: Minio, bucket: str) -> None:
    if client.bucket_exists(bucket):
        return
    try:
        client.make_bucket(bucket)
    except S3Error as error:
        if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise


def _touch(client: Minio, bucket: str, key: str) -> None:
    """A copy onto itself, made by the server. S3 asks for some change: that the metadata are given anew."""
    info = _info(client.stat_object(bucket, key))
    metadata: DictType = {f"{_META}{name}": value for name, value in info.metadata.items()}
    metadata["Content-Type"] = info.content_type
    source = CopySource(bucket, key)
    client.copy_object(bucket, key, source, metadata=metadata, metadata_directive=REPLACE)


def _take(items: Iterator[Object]) -> list[Object]:
    return list(itertools.islice(items, 1000))


def _info(item: Object) -> ObjectInfo:
    headers = {name.lower(): value for name, value in (item.metadata or {}).items()}
    return ObjectInfo(
        key=item.object_name or "",
        size=item.size or 0,
        etag=(item.etag or "").strip('"'),
        modified=item.last_modified or datetime.fromtimestamp(0, UTC),
        content_type=item.content_type or "application/octet-stream",
        metadata={name.removeprefix(_META): v for name, v in headers.items() if name.startswith(_META)},
    )
