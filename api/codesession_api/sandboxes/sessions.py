"""What this replica knows of CodeSessions: those that can be claimed are found without a look at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from codesession_api.sandboxes.cache import Cache
from codesession_api.sandboxes.claims import SessionView


class SessionCache(Cache[SessionView]):
    _warm: defaultdict[str, dict[str, SessionView]]

    def warm(self, environment: str) -> Mapping[str, SessionView]:
        """Those ready for their first owner, by name."""
        return self._warm[environment]

    def _clear(self) -> None:
        super()._clear()
        self._warm = defaultdict(dict)

    def _put(self, item: SessionView) -> None:
        self._remove(item.name)
        super()._put(item)
        if item.warm:
            self._warm[item.environment][item.name] = item

    def _remove(self, name: str) -> None:
        if old := self.get(name):
            self._warm[old.environment].pop(name, None)
        super()._remove(name)
