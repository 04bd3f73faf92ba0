"""Sandboxes as pods of a cluster: CodeSessions that the operator keeps warm and this replica claims.

Nothing here is known to one replica only. Whose a session is and when it ends is written in the CodeSession;
what this replica holds besides is a cache of that and open streams, which any other replica can have too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from codesession_api import metrics
from codesession_api.errors import SandboxesBusy, SandboxesUnavailable
from codesession_api.ports import Live, Principal, Sandbox, Sandboxes
from codesession_api.sandboxes import claims
from codesession_api.sandboxes.cache import Cache
from codesession_api.sandboxes.claims import SessionView
from codesession_api.sandboxes.connection import Connection
from codesession_api.sandboxes.dialer import Dialer, PodRef
from codesession_api.sandboxes.environments import EnvironmentView, parse_environment
from codesession_api.sandboxes.keeper import Keeper
from codesession_api.sandboxes.session import Limits, Session
from codesession_api.sandboxes.sessions import SessionCache
from codesession_api.sandboxes.tenants import Tenants
from codesession_api.settings import Settings
from codesession_crds.client import KubeClient
from codesession_crds.connection import NoClusterError
from codesession_crds.errors import ApiStatusError, KubeError
from codesession_crds.names import is_id, new_id
from codesession_crds.paths import CODE_ENVIRONMENTS, CODE_SESSIONS

FIELD_MANAGER = "codesession-api"
_SYNC_SECONDS = 10.0

logger = logging.getLogger(__name__)


async def open_kubernetes(settings: Settings) -> Sandboxes:
    """The cluster of this pod or of KUBECONFIG. Raises SandboxesUnavailable when there is none at all; one
    that does not answer yet shows in `check`."""
    try:
        client = await KubeClient.connect()
    except NoClusterError as error:
        raise SandboxesUnavailable(str(error)) from error
    sandboxes = KubernetesSandboxes(client, settings)
    await sandboxes.synced(_SYNC_SECONDS)
    return sandboxes


@dataclass(frozen=True, slots=True)
class _PodLine:
    dialer: Dialer
    pod: PodRef

    async def connect(self) -> Connection:
        return await self.dialer.connect(self.pod)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What somebody asks for."""

    environment: EnvironmentView
    principal: Principal
    idle: timedelta
    hint: str | None

    def claim(self, max_lifetime: timedelta) -> claims.Manifest:
        return claims.claim_of(self.principal, _now(), self.idle, max_lifetime, self.hint)


class KubernetesSandboxes:
    """Made by `open_kubernetes`."""

    def __init__(self, client: KubeClient, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._sessions = SessionCache(client, self._path(), claims.parse_session)
        environments = CODE_ENVIRONMENTS.path(settings.namespace)
        self._environments = Cache(client, environments, parse_environment)
        self._dialer = Dialer(client, settings.namespace)
        self._tenants = Tenants(settings.environment, settings.tenant_environments)
        self._keeper = Keeper(self._sessions, self._dialer, self._tenants.environments)
        self._taken: set[str] = set()
        loop = asyncio.get_running_loop()
        background = (self._sessions.watch, self._environments.watch, self._keeper.work)
        self._tasks = [loop.create_task(work()) for work in background]

    @property
    def isolation(self) -> str:
        known = (self._environments.get(name) for name in self._tenants.environments)
        found = sorted({environment.isolation for environment in known if environment})
        return ", ".join(found) or "unknown"

    async def synced(self, timeout: float) -> None:  # noqa: ASYNC109
        """Wait until the cluster was listed, but no longer than `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                for cache in (self._sessions, self._environments):
                    while cache.failure:
                        await cache.changed()
        except TimeoutError:
            logger.warning("the cluster was not listed within %g s", timeout)

    async def find(self, session_id: str, principal: Principal, *, wake: bool = False) -> Sandbox | None:
        view = await self._owned(session_id, principal)
        if view is None or view.bereft or view.expired(_now()):
            return None
        if wake and (view.suspended or self._sessions.is_waking(view.name)):
            view = await self._awake(view)
        if view is None or not view.ready or view.expired(_now()):
            return None
        if self._dialer.gone(PodRef(view.pod, view.pod_uid)):
            return None
        environment = self._environment_of(view)
        if not await self._extend(view, environment):
            return None
        return self._sandbox(view, environment)

    async def hinted(self, hint: str, principal: Principal, but: Container[str] = ()) -> Sandbox | None:
        for view in claims.hinted(self._sessions.items(), principal, hint, but=but, now=_now()):
            if found := await self.find(view.name, principal):
                return found
        return None

    async def claim(
        self, principal: Principal, hint: str | None = None, *, one_shot: bool = False
    ) -> Sandbox:
        name = self._tenants.environment_of(principal)
        environment = self._environments.get(name)
        if environment is None:
            raise SandboxesUnavailable(f"there is no CodeEnvironment {name}")
        idle = environment.idle
        if one_shot:
            idle = environment.idle_of_one_shot(environment.limits_within(self._limits()).run_seconds)
        wanted = _Wanted(environment, principal, idle, hint)
        begun = time.perf_counter()
        warm = await self._claim_warm(wanted)
        view = warm or await self._claim_new(wanted)
        metrics.CLAIM_SECONDS.labels("hit" if warm else "miss").observe(time.perf_counter() - begun)
        return self._sandbox(view, environment)

    def sessions(self, principal: Principal) -> list[Live]:
        return claims.live(self._sessions.items(), principal, _now())

    async def delete(self, session_id: str, principal: Principal) -> bool:
        view = await self._owned(session_id, principal)
        if view is None or not (view.running or view.suspended):
            return False
        deleted = await self._delete(view.name, view.uid)
        await self._dialer.forget(PodRef(view.pod, view.pod_uid))
        return deleted

    async def check(self) -> None:
        for cache in (self._sessions, self._environments):
            if cache.failure:
                raise SandboxesUnavailable(f"the cluster's state is not known: {cache.failure}")
        try:
            answer = await self._client.get(
                CODE_ENVIRONMENTS.path(self._settings.namespace, self._settings.environment)
            )
        except KubeError as error:
            raise SandboxesUnavailable(f"the environment cannot be read: {error}") from error
        environment = parse_environment(answer)
        if environment.fault:
            raise SandboxesUnavailable(f"the environment is not ready: {environment.fault}")

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._keeper.aclose()
        await self._dialer.aclose()
        await self._client.aclose()

    def _path(self, name: str | None = None) -> str:
        return CODE_SESSIONS.path(self._settings.namespace, name)

    def _sandbox(self, view: SessionView, environment: EnvironmentView) -> Sandbox:
        line = _PodLine(self._dialer, PodRef(view.pod, view.pod_uid))
        return Session(view.name, line, environment.limits_within(self._limits()))

    def _limits(self) -> Limits:
        settings = self._settings
        # How large a file may be is the environment's to say.
        return Limits(settings.run_seconds, settings.output_bytes, 2**63, settings.run_files)

    def _environment_of(self, view: SessionView) -> EnvironmentView:
        return self._environments.get(view.environment) or EnvironmentView(view.environment)

    async def _owned(self, session_id: str, principal: Principal) -> SessionView | None:
        """The session if it is the principal's. One that another replica made just now is asked for."""
        if not is_id(session_id):
            return None
        view = self._sessions.get(session_id)
        if view is None or view.owner is None:
            view = await self._read(session_id)
        return view if view is not None and view.owner == principal else None

    async def _read(self, name: str) -> SessionView | None:
        try:
            return claims.parse_session(await self._client.get(self._path(name)))
        except ApiStatusError as error:
            if error.not_found:
                return None
            raise SandboxesUnavailable(f"the session cannot be read: {error}") from error
        except KubeError as error:
            raise SandboxesUnavailable(f"the session cannot be read: {error}") from error

    async def _awake(self, view: SessionView) -> SessionView | None:
        """As it is once it is no longer suspended; None when it is gone."""
        seconds = self._settings.claim_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                if view.suspended and not await self._wake(view):
                    return None
                while self._is_asleep(view.name):
                    await self._sessions.changed()
        except TimeoutError:
            raise SandboxesBusy(f"the session did not start again within {seconds:g} s") from None
        return self._sessions.get(view.name)

    def _is_asleep(self, name: str) -> bool:
        view = self._sessions.get(name)
        return view is not None and (view.suspended or self._sessions.is_waking(name))

    async def _wake(self, view: SessionView) -> bool:
        """Whether the session is still there."""
        # One that was just read may not have been heard of.
        self._sessions.learn(view)
        running = {"spec": {"operatingMode": "Running"}}
        try:
            answer = await self._client.merge_patch(self._path(view.name), running, idempotent=True)
        except ApiStatusError as error:
            if error.not_found:
                return False
            raise SandboxesUnavailable(f"the session could not be started again: {error}") from error
        except KubeError as error:
            raise SandboxesUnavailable(f"the session could not be started again: {error}") from error
        self._sessions.learn(claims.parse_session(answer))
        return True

    async def _extend(self, view: SessionView, environment: EnvironmentView) -> bool:
        """Move the session's end forward if it is near; whether the session is still there."""
        run = timedelta(seconds=environment.limits_within(self._limits()).run_seconds)
        spec = claims.extension(view, _now(), environment.idle, run)
        if spec is None:
            return True
        try:
            answer = await self._client.merge_patch(self._path(view.name), {"spec": spec}, idempotent=True)
        except ApiStatusError as error:
            if error.not_found:
                return False
            logger.warning("a session's end could not be moved: %s", error)
        except KubeError as error:
            logger.warning("a session's end could not be moved: %s", error)
        else:
            self._sessions.learn(claims.parse_session(answer))
        return True

    async def _claim_warm(self, wanted: _Wanted) -> SessionView | None:
        warm, lost = self._sessions.warm(wanted.environment.name), set[str]()
        while views := claims.candidates(warm, self._keeper.near(), but=lost | self._taken):
            for view in views:
                # Others of this replica may have taken it while the last one was tried.
                if view.name in self._taken:
                    continue
                self._taken.add(view.name)
                try:
                    if claimed := await self._try_claim(view, wanted):
                        return claimed
                finally:
                    self._taken.discard(view.name)
                lost.add(view.name)
        return None

    async def _try_claim(self, view: SessionView, wanted: _Wanted) -> SessionView | None:
        """None when the session is no longer what the cache said: another claim, an update, a deletion."""
        try:
            answer = await self._client.merge_patch(
                self._path(view.name), wanted.claim(view.max_lifetime), resource_version=view.version
            )
        except ApiStatusError as error:
            if error.conflict or error.not_found:
                return None
            raise SandboxesUnavailable(f"a claim was refused: {error}") from error
        except KubeError as error:
            raise SandboxesUnavailable(f"a claim was not answered: {error}") from error
        claimed = claims.parse_session(answer)
        self._sessions.learn(claimed)
        return claimed

    async def _claim_new(self, wanted: _Wanted) -> SessionView:
        """None is warm: make a session that is claimed from the start, and wait until it is ready."""
        name, lifetime = new_id(), wanted.environment.max_lifetime
        manifest = claims.new_session(name, wanted.environment.name, wanted.claim(lifetime), lifetime)
        try:
            async with asyncio.timeout(self._settings.claim_timeout_seconds):
                await self._create(manifest)
                view = await self._ready(name, wanted)
        except TimeoutError:
            await self._abandon(name)
            raise SandboxesBusy(f"no sandbox within {self._settings.claim_timeout_seconds:g} s") from None
        except BaseException:
            await asyncio.shield(self._abandon(name))
            raise
        if view.name != name:
            await asyncio.shield(self._abandon(name))
        return view

    async def _create(self, manifest: claims.Manifest) -> None:
        try:
            answer = await self._client.create(self._path(), manifest, field_manager=FIELD_MANAGER)
        except ApiStatusError as error:
            if error.status == 403 and "quota" in error.message:
                raise SandboxesBusy("the quota of sandboxes is used up") from error
            raise SandboxesUnavailable(f"a session could not be created: {error}") from error
        except KubeError as error:
            raise SandboxesUnavailable(f"a session could not be created: {error}") from error
        self._sessions.learn(claims.parse_session(answer))

    async def _ready(self, name: str, wanted: _Wanted) -> SessionView:
        """That session, or a warm one that comes to be while that one waits for room: whoever came later and
        would find it has waited less."""
        while True:
            # A list that is older than the session may just have replaced the cache.
            view = self._sessions.get(name) or await self._read(name)
            if view is None or not view.running:
                raise SandboxesUnavailable("the new session was deleted before it was ready")
            if view.ready:
                return view
            if view.phase == "Failed":
                raise SandboxesUnavailable(f"the new session failed: {view.reason}")
            if view.lacks_room and (other := await self._claim_warm(wanted)):
                return other
            await self._sessions.changed()

    async def _abandon(self, name: str) -> None:
        try:
            await self._delete(name)
        except SandboxesUnavailable as error:
            logger.warning("a session that nobody waits for stays until its time is over: %s", error)

    async def _delete(self, name: str, uid: str | None = None) -> bool:
        try:
            await self._client.delete(self._path(name), uid=uid)
        except ApiStatusError as error:
            if error.not_found or error.conflict:
                return False
            raise SandboxesUnavailable(f"a session could not be deleted: {error}") from error
        except KubeError as error:
            raise SandboxesUnavailable(f"a session could not be deleted: {error}") from error
        return True


def _now() -> datetime:
    return datetime.now(UTC)
