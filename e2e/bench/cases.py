"""What is measured. Every case checks its answer, so that a fast failure is no result."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, TypeVar

import httpx
from minio import Minio

from codesession_crds.client import KubeClient
from e2e.bench import baseline
from e2e.bench.report import Samples
from e2e.targets import release
from e2e.targets.kubectl import Json
from e2e.targets.waiting import eventually

T = TypeVar("T")

MB = 1_000_000
# Seconds: enough for a sandbox to make ready what the last run used up.
PAUSE = 0.15
SIZES = {"1mb": MB, "50mb": 50 * MB}

PRINT = "print(1)"
PANDAS = """
import pandas as pd
table = pd.DataFrame({"a": range(10_000), "b": [x * 0.5 for x in range(10_000)]})
print(table.describe())
"""
PLOT = """
import matplotlib.pyplot as plt
plt.plot([1, 4, 2])
plt.savefig("plot.png")
"""


class Bench:
    """`samples` are milliseconds by case, in the order in which the cases first ran."""

    def __init__(self, http: httpx.AsyncClient, cluster: KubeClient) -> None:
        self.samples: Samples = defaultdict(list)
        self._http = http
        self._cluster = cluster

    async def claims(self, rounds: int) -> None:
        """The first run of a user, each in a session from a full pool."""
        for _ in range(rounds):
            eventually(release.warm_sessions, "a full pool", seconds=120)
            answer = await self.timed("claim_first", self.run("py", PRINT))
            await self.end(answer["session_id"])

    async def open(self) -> str:
        """A live session, used once."""
        return str((await self.run("py", PRINT))["session_id"])

    async def end(self, session: str) -> None:
        (await self._http.delete(f"/sessions/{session}")).raise_for_status()

    async def live(self, session: str, rounds: int, twin: Json) -> None:
        """The cases of a live session and the baselines by turns, each after a pause, as models make."""
        hint = secrets.token_hex(8)
        await self._hinted(hint)
        for number in range(rounds):
            await self._paused("exec_per_request", self._execute(PRINT))
            await self._paused("live_print", self.run("py", PRINT, session))
            await self._paused("fresh_print", self._hinted(hint))
            await self._paused("live_bash", self.run("bash", "echo 1", session))
            await self._paused("live_pandas", self.run("py", PANDAS, session))
            await self._paused("live_plot", self._plot(session))
            # Each takes seconds.
            if number % 5 == 0:
                await self._paused("exec_per_request_pandas", self._execute(PANDAS))
                await self._paused("container_per_request", self._in_new_pod(twin))
        await self.end((await self._hinted(hint))["session_id"])

    async def back_to_back(self, session: str, rounds: int) -> None:
        for _ in range(rounds):
            await self.timed("live_print_back_to_back", self.run("py", PRINT, session))

    async def transfers(self, s3: Minio | None, rounds: int) -> None:
        """Uploads and downloads, of each size as many times as makes up the same time."""
        for label, size in SIZES.items():
            content = os.urandom(size)
            for _ in range(rounds if size <= MB else max(3, rounds // 5)):
                path = await self.timed(f"upload_{label}", self._upload(content))
                await self.timed(f"download_{label}", self._download(path, content))
                if s3 is not None:
                    await self._directly(s3, label, content)

    async def _directly(self, s3: Minio, label: str, content: bytes) -> None:
        bucket, name, while_valid = "codesession", f"bench/{label}", timedelta(minutes=5)
        put = s3.presigned_put_object(bucket, name, while_valid)
        get = s3.presigned_get_object(bucket, name, while_valid)
        await self.timed(f"s3_direct_upload_{label}", self._put(put, content))
        await self.timed(f"s3_direct_download_{label}", self._download(get, content))
        s3.remove_object(bucket, name)

    async def _paused(self, name: str, work: Awaitable[T]) -> T:
        await asyncio.sleep(PAUSE)
        return await self.timed(name, work)

    async def timed(self, name: str, work: Awaitable[T]) -> T:
        began = time.perf_counter()
        result = await work
        self.samples[name].append((time.perf_counter() - began) * 1000)
        return result

    async def livez(self) -> None:
        (await self._http.get(self._http.base_url.join("/livez"))).raise_for_status()

    async def run(self, lang: str, code: str, session: str | None = None) -> dict[str, Any]:
        response = await self._http.post("/exec", json={"lang": lang, "code": code, "session_id": session})
        answer: dict[str, Any] = response.raise_for_status().json()
        assert answer["exit_code"] == 0, answer["stderr"]
        assert session in (None, answer["session_id"]), "another session answered"
        return answer

    async def _hinted(self, hint: str) -> dict[str, Any]:
        """A process of its own in a session that is kept: what LibreChat's calls of a conversation get."""
        body = {"lang": "py", "code": PRINT, "runtime_session_hint": hint}
        answer: dict[str, Any] = (await self._http.post("/exec", json=body)).raise_for_status().json()
        assert answer["exit_code"] == 0, answer["stderr"]
        return answer

    async def _in_new_pod(self, twin: Json) -> None:
        assert await baseline.in_new_pod(self._cluster, twin, PRINT) == "1\n"

    async def _plot(self, session: str) -> None:
        answer = await self.run("py", PLOT, session)
        assert [file["name"] for file in answer["files"]] == ["plot.png"]

    async def _execute(self, code: str) -> None:
        assert await baseline.execute(self._cluster, "python3", "-c", code)

    async def _upload(self, content: bytes) -> str:
        response = await self._http.post("/upload", files={"file": ("bench.bin", content)})
        stored = response.raise_for_status().json()
        return f"/download/{stored['session_id']}/{stored['files'][0]['fileId']}"

    async def _put(self, url: str, content: bytes) -> None:
        (await self._http.put(url, content=content)).raise_for_status()

    async def _download(self, url: str, content: bytes) -> None:
        assert (await self._http.get(url)).raise_for_status().content == content
