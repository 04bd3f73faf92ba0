"""Settings by environment variables: what the API's and the operator's have in common."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from pydantic import ValidationError


def unknown_variable(
    environment: Iterable[str], prefix: str, names: Collection[str], others: tuple[str, ...] = ()
) -> str | None:
    """One line about the first variable with the prefix that is none of the settings `names`, so that a
    misspelt limit does not go unnoticed; None when there is none. `others` are prefixes of other programs
    below this one."""
    known = {prefix + name.upper() for name in names}
    for variable in sorted(environment):
        if variable.startswith(prefix) and variable not in known and not variable.startswith(others):
            near = difflib.get_close_matches(variable, known, n=1)
            return f"{variable} is no setting" + (f"; did you mean {near[0]}?" if near else "")
    return None


def first_fault(error: ValidationError, prefix: str) -> str:
    """One line about the first value that cannot work, without the value, which may be a secret."""
    fault = error.errors(include_input=False, include_url=False)[0]
    text = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:
        return text
    return f"{prefix}{str(fault['loc'][0]).upper()}: {text[0].lower()}{text[1:]}"
