from __future__ import annotations

import pytest

from codesession_api.auth.principals import ANYONE, of_keys, of_person
from codesession_api.ports import Principal
from codesession_api.sandboxes.tenants import Tenants

TENANTS = Tenants("default", {"acme": "gpu", "globex": "default", "initech": "gpu"})


@pytest.mark.parametrize(
    ("principal", "environment"),
    [
        (of_keys("acme"), "gpu"),
        (of_person("acme", "u-1"), "gpu"),
        (of_keys("globex"), "default"),
        (of_keys("other"), "default"),
        (of_keys("gpu"), "default"),
        (ANYONE, "default"),
    ],
)
def test_a_tenant_gets_its_environment_by_key_and_by_token(principal: Principal, environment: str) -> None:
    assert TENANTS.environment_of(principal) == environment


def test_each_environment_is_looked_after_once() -> None:
    assert TENANTS.environments == ("default", "gpu")
    assert Tenants("default", {}).environments == ("default",)
