from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from codesession_crds.errors import ApiUnreachableError
from codesession_crds.paths import CODE_SESSIONS
from codesession_operator.audit import Audit
from tests.api_model import NAMESPACE, ApiModel
from tests.operator_model import OperatorModel

NAME = "s" * 21


@pytest.fixture
def api() -> ApiModel:
    return ApiModel(datetime(2026, 11, 21, 12, tzinfo=UTC))


@pytest.fixture
async def operator(api: ApiModel) -> OperatorModel:
    operator = OperatorModel(api)
    operator.environment()
    operator.session()
    await operator.settle()
    return operator


def audit_of(operator: OperatorModel, grace: float = 0.0) -> Audit:
    client: Any = operator.api
    return Audit(client, operator.world, NAMESPACE, interval=60, grace=grace)


async def test_what_is_gone_unheard_is_found(api: ApiModel, operator: OperatorModel) -> None:
    api.remove("pods", NAME)
    api.kubelet_stops()
    api.untold.clear()
    audit = audit_of(operator)
    await audit.compare()
    assert operator.world.pods.get(NAME) is None
    assert audit.healthy
    await operator.settle()
    assert api.objects["codesessions", NAME]["status"]["restartCount"] == 1


async def test_nothing_is_written_by_looking(api: ApiModel, operator: OperatorModel) -> None:
    before = api.writes.total()
    await audit_of(operator).compare()
    assert api.writes.total() == before
    assert operator.woken == {}


async def test_a_watch_that_is_behind_is_found_and_forgiven(api: ApiModel, operator: OperatorModel) -> None:
    operator.session("t" * 21)
    audit = audit_of(operator)
    await audit.compare()
    assert not audit.healthy
    operator.hear()
    await audit.compare()
    assert audit.healthy


async def test_an_old_version_counts_as_behind(api: ApiModel, operator: OperatorModel) -> None:
    operator.change("codesessions", NAME, operatingMode="Suspended")
    audit = audit_of(operator)
    await audit.compare()
    assert not audit.healthy


async def test_what_is_made_and_deleted_meanwhile_does_not_alarm(
    api: ApiModel, operator: OperatorModel
) -> None:
    class Fleeting(Audit):
        async def _late(self, listed: Any, within: float) -> Any:
            late = await super()._late(listed, within)
            api.objects.pop(("codesessions", "t" * 21), None)
            return late

    operator.session("t" * 21)
    client: Any = api
    audit = Fleeting(client, operator.world, NAMESPACE, interval=60, grace=0)
    await audit.compare()
    assert audit.healthy


async def test_synced_waits_for_the_last_object(api: ApiModel, operator: OperatorModel) -> None:
    operator.session("t" * 21)
    hearing = {"left": 2}
    audit = audit_of(operator)
    listed = audit._listed

    async def listed_then_heard(resources: Any) -> Any:
        found = await listed(resources)
        hearing["left"] -= 1
        if hearing["left"] == 0:
            operator.hear()
        return found

    audit._listed = listed_then_heard  # type: ignore[method-assign]
    await audit.synced([CODE_SESSIONS])
    assert operator.world.sessions.get("t" * 21) is not None


async def test_an_api_server_that_is_away_is_waited_for(api: ApiModel, operator: OperatorModel) -> None:
    asked: list[str] = []

    class Away:
        async def request(self, method: str, path: str, **_: Any) -> Any:
            asked.append(path)
            if len(asked) < 3:
                raise ApiUnreachableError(method, path, TimeoutError())
            return {}

    client: Any = Away()
    audit = Audit(client, operator.world, NAMESPACE, interval=60, grace=0)
    await audit.reachable()
    assert len(asked) == 2 + 5
