"""What a client says of whose a file is: LibreChat's `kind`, `id` and `version`.

Without a proved principal these are nobody's word, and are not checked. With one, a request that contradicts
what the upload said gets the answer to a file that does not exist. What an upload did not say contradicts
nothing: the outputs of runs have neither, while clients ask for them as `kind=user` with all kinds of ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

KIND = "kind"
OWNER = "owner"
VERSION = "version"

SHARED_KINDS = frozenset({"agent", "skill"})
"""Of an agent or a skill, which all users of a tenant run."""


@dataclass(frozen=True, slots=True)
class Scope:
    """As named by one request; None is not named."""

    kind: str | None = None
    id: str | None = None
    version: str | None = None

    def __bool__(self) -> bool:
        return any((self.kind, self.id, self.version))

    def admits(self, metadata: Mapping[str, str]) -> bool:
        """Whether nothing in it contradicts what was noted with the file."""
        named = {KIND: self.kind, OWNER: self.id, VERSION: self.version}
        return all(
            not value or metadata.get(field) in (None, ascii_value(value)) for field, value in named.items()
        )


ANY = Scope()


def ascii_value(text: str) -> str:
    """Text as a metadata value, which must be ASCII and short."""
    return quote(text[:256], safe="/:@")
