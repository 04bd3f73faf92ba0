"""Which environment a tenant's sandboxes are of."""

from __future__ import annotations

from collections.abc import Mapping

from codesession_api.auth.principals import of_keys
from codesession_api.ports import Principal


class Tenants:
    """Tenants are named by whoever writes the settings, and known here by their hashes alone."""

    def __init__(self, default: str, environments: Mapping[str, str]) -> None:
        self._default = default
        self._environments = {of_keys(tenant).tenant: name for tenant, name in environments.items()}
        self.environments = tuple(dict.fromkeys((default, *environments.values())))
        """Each once, the default first."""

    def environment_of(self, principal: Principal) -> str:
        return self._environments.get(principal.tenant, self._default)
