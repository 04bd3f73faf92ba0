"""The parts put together: watches fill the world, the world wakes keys, workers reconcile them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from codesession_crds.client import KubeClient
from codesession_crds.errors import KubeError
from codesession_crds.paths import Resource
from codesession_operator import health
from codesession_operator.audit import Audit
from codesession_operator.clock import utc_now
from codesession_operator.environments import EnvironmentReconciler
from codesession_operator.executor import Executor, RefusedError
from codesession_operator.listening import MANY, listen
from codesession_operator.log import about
from codesession_operator.metrics import Metrics
from codesession_operator.namespace import NamespaceReconciler
from codesession_operator.sessions import SessionReconciler
from codesession_operator.settings import OperatorSettings
from codesession_operator.wiring import FEW, watch
from codesession_operator.workqueue import Key, WorkQueue
from codesession_operator.world import World

logger = logging.getLogger(__name__)

Reconcile = Callable[[str], Awaitable[float | None]]


class Operator:
    """One process's operator. Made within a running event loop."""

    def __init__(self, client: KubeClient, settings: OperatorSettings) -> None:
        self._client = client
        self._settings = settings
        self._queue = WorkQueue()
        self._world = World(self._queue.add)
        self._listed = {resource: asyncio.Event() for resource in MANY}
        self._synced = asyncio.Event()
        self._audit = Audit(
            client,
            self._world,
            settings.namespace,
            interval=settings.audit_seconds,
            grace=settings.audit_grace_seconds,
        )
        self.metrics = Metrics(self._world, self._queue, self._audit, client.attempts)
        self._reconcilers = self._make_reconcilers()

    def _make_reconcilers(self) -> dict[str, Reconcile]:
        settings, world = self._settings, self._world
        executor = Executor(self._client, world, settings.namespace, utc_now)
        namespace = NamespaceReconciler(world, executor, settings.quota)
        environments = EnvironmentReconciler(world, executor, namespace, utc_now, settings)
        sessions = SessionReconciler(
            world, executor, utc_now, settings.max_restarts, environments.pool_failed
        )
        return {
            "namespace": namespace.reconcile,
            "environment": environments.reconcile,
            "session": sessions.reconcile,
        }

    async def run(self) -> None:
        """Until SIGTERM. Raises when it cannot go on."""
        settings = self._settings
        async with health.serving(
            settings.host,
            settings.port,
            live=lambda: self._audit.healthy,
            ready=self._synced.is_set,
            metrics=self.metrics.rendered,
        ):
            await self._audit.reachable()
            async with asyncio.TaskGroup() as tasks:
                # Started before kopf, which at its end waits for all tasks that it did not find.
                work = [tasks.create_task(self._sync())]
                work += [tasks.create_task(self._listen(resource)) for resource in MANY]
                work += [tasks.create_task(self._worker()) for _ in range(settings.workers)]
                await asyncio.sleep(0)
                await watch(
                    self._client.connection,
                    self._world,
                    settings.namespace,
                    inactivity=settings.inactivity_seconds,
                )
                for task in work:
                    task.cancel()

    async def _listen(self, resource: Resource) -> None:
        settings = self._settings
        await listen(
            self._client,
            self._world,
            resource,
            settings.namespace,
            inactivity=settings.inactivity_seconds,
            listed=self._listed[resource],
        )

    async def _sync(self) -> None:
        """What was listed is known; of what kopf lists, it does not say when that is done."""
        for listed in self._listed.values():
            await listed.wait()
        await self._audit.synced(FEW)
        self._synced.set()
        logger.info("synced: %d sessions, %d pods", len(self._world.sessions), len(self._world.pods))
        await self._audit.run()

    async def _worker(self) -> None:
        """Decisions from half the picture would replace what is only not heard of yet."""
        await self._synced.wait()
        while True:
            key = await self._queue.get()
            with about(key):
                await self._reconcile(key)

    async def _reconcile(self, key: Key) -> None:
        try:
            with self.metrics.reconciling(key.kind):
                again_after = await self._reconcilers[key.kind](key.name)
        except (KubeError, RefusedError) as error:
            logger.warning("not reconciled: %s", error)
            self._queue.failed(key)
        except Exception:
            logger.exception("not reconciled")
            self._queue.failed(key)
        else:
            self._queue.done(key, again_after)
