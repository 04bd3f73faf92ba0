"""What a session's counter file may hold, given what was asked and answered. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from e2e.soak.answers import WrongError


class Ledger:
    """Each run of a session appends a word of its own, and prints the whole file.

    A word whose run was answered and stored is there for ever; one whose answer was lost, or says that it was
    not stored, may be there or not, but not twice, not in another order, and once it was not there, never
    again.
    """

    def __init__(self) -> None:
        self._count = 0
        self._kept: list[str] = []
        self._open: list[str] = []
        """Issued and not seen yet, or seen and not stored, in order."""

    def issue(self) -> str:
        self._count += 1
        word = f"w{self._count}"
        self._open.append(word)
        return word

    def answered(self, word: str, found: Sequence[str], *, stored: bool) -> None:
        """`found` was printed by the run of `word`. WrongError says what is not right with it."""
        if len(set(found)) != len(found):
            raise WrongError(f"code ran twice: {found}")
        if [*found[-1:]] != [word]:
            raise WrongError(f"{word} is not the last of {found}")
        if [*found[: len(self._kept)]] != self._kept:
            raise WrongError(f"of {self._kept} was found {found}")
        rest = found[len(self._kept) :]
        if [one for one in self._open if one in set(rest)] != [*rest]:
            raise WrongError(f"after {self._kept} only some of {self._open} may come, in order: {found}")
        if stored:
            self._kept, self._open = [*found], []
        else:
            self._open = [*rest]

    @property
    def kept(self) -> int:
        """How many words are safe."""
        return len(self._kept)
