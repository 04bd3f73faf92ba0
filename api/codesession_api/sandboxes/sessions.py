"""What this replica knows of CodeSessions: those that can be claimed are found without a look at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from codesession_api.sandboxes.cache import Cache
from codesession_api.sandboxes.claims import SessionView


class SessionCache(Cache[SessionView]):
    _warm: defaultdict[str, dict[str, SessionView]]
    _waking: set[str]

    def warm(self, environment: str) -> Mapping[str, SessionView]:
        """Those ready for their first owner, by name."""
        return self._warm[environment]

    def is_waking(self, name: str) -> bool:
        """Whether it was suspended, is wanted to run again, whoever wanted that, and is not ready yet."""
        return name in self._waking

    def _clear(self) -> None:
        super()._clear()
        self._warm = defaultdict(dict)
        self._waking = set()

    def _put(self, item: SessionView) -> None:
        old = self.get(item.name)
        slept = old is not None and (old.suspended or self.is_waking(item.name))
        self._remove(item.name)
        super()._put(item)
        if slept and item.running and not item.ready and not item.lost:
            self._waking.add(item.name)
        if item.warm:
            self._warm[item.environment][item.name] = item

    def _remove(self, name: str) -> None:
        if old := self.get(name):
            self._warm[old.environment].pop(name, None)
            self._waking.discard(name)
        super()._remove(name)
