"""The Content-Disposition of a part of a form, as clients of all ages write it.

Between the quotes stands UTF-8. Browsers and form-data 4 write a quote, CR and LF of a name as `%22`, `%0D`
and `%0A` (the WHATWG's way) and nothing else so; older clients put a backslash before a quote. `filename*`
(RFC 5987) says more exactly what `filename` says.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

_PARAMETER = re.compile(
    r"""; [ \t]* ([^\s=;"]+) [ \t]* = [ \t]*
        (?: "( (?: \\["\\] | [^"] )*+ )" | ([^;]*) )""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r'\\(["\\])|%(22|0D|0A)')
_EXTENDED = re.compile(r"(utf-8|iso-8859-1)'[^']*'(.*)", re.IGNORECASE | re.DOTALL)


def names(header: bytes) -> tuple[str, str | None]:
    """`name` and, of a file, `filename`. What is no UTF-8 is replaced."""
    options: dict[str, str] = {}
    for match in _PARAMETER.finditer(header.decode("utf-8", "replace")):
        quoted, bare = match[2], match[3]
        value = _unescaped(quoted) if quoted is not None else bare.strip(' \t"')
        options.setdefault(match[1].lower(), value)
    filename = options.get("filename")
    if (extended := _EXTENDED.fullmatch(options.get("filename*", ""))) is not None:
        filename = unquote(extended[2], extended[1], "replace")
    return options.get("name", ""), filename if filename is None else _without_drive(filename)


def _unescaped(quoted: str) -> str:
    return _ESCAPED.sub(lambda match: match[1] or chr(int(match[2], 16)), quoted)


def _without_drive(filename: str) -> str:
    r"""`a.csv` of `C:\x\a.csv`, which old browsers on Windows send."""
    return filename.rpartition("\\")[2] if filename[1:3] == ":\\" or filename[:2] == "\\\\" else filename
