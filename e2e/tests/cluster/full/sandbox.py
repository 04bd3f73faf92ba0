"""A sandbox through the API, as a client that keeps to one."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

Json = dict[str, Any]


class Sandbox:
    """Its runs are fresh processes in one session, which a hint names."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.session = ""
        self._hint = f"v2:user:{uuid.uuid4().hex}"

    @classmethod
    @contextlib.contextmanager
    def opened(cls, http: httpx.Client) -> Iterator[Sandbox]:
        sandbox = cls(http)
        try:
            yield sandbox
        finally:
            if sandbox.session:
                http.delete(f"/sessions/{sandbox.session}")

    def run(self, code: str, lang: str = "bash", args: Sequence[str] = (), **fields: Any) -> Json:
        """The answer, whatever became of the run."""
        request = {"lang": lang, "code": code, "args": list(args), "runtime_session_hint": self._hint}
        answer: Json = self.http.post("/exec", json=request | fields).raise_for_status().json()
        assert self.session in ("", answer["session_id"]), "another session answered"
        self.session = answer["session_id"]
        return answer

    def succeeds(self, code: str, lang: str = "bash", **fields: Any) -> Json:
        """The answer of a run that exits with 0 and says nothing in stderr."""
        answer = self.run(code, lang, **fields)
        assert (answer["exit_code"], answer["stderr"]) == (0, ""), answer["stderr"] + answer["stdout"]
        return answer

    def content(self, answer: Json, name: str) -> bytes:
        """Of a file that a run made."""
        (file,) = [each for each in answer["files"] if each["name"] == name]
        assert not file.get("inherited")
        download = self.http.get(f"/download/{file['storage_session_id']}/{file['id']}")
        return download.raise_for_status().content


def names(answer: Json) -> list[str]:
    """Of the files that a run made or changed."""
    return sorted(file["name"] for file in answer["files"] if not file.get("inherited"))


def python(checks: Mapping[str, str]) -> str:
    """A program that makes each check by itself and prints what went wrong, by name."""
    return f"""
import json, traceback
failed = {{}}
for name, code in {dict(checks)!r}.items():
    try:
        exec(compile(code, name, "exec"), {{}})
        failed[name] = ""
    except BaseException:
        failed[name] = traceback.format_exc()[-1500:]
print(json.dumps(failed))
"""


def bash(checks: Mapping[str, str]) -> str:
    """The same of commands, each of them in a shell that stops at the first that fails."""
    said = [
        f"bash -euo pipefail -c {_quoted(code)} &>/tmp/said || {{ tail -c 1500 /tmp/said; echo failed; }}\n"
        f"printf '\\n{_MARK}{name}\\n'"
        for name, code in checks.items()
    ]
    return "\n".join(said)


def r(checks: Mapping[str, str]) -> str:
    """The same of expressions of R; what they print and warn of does not count."""
    said = [
        f"cat(tryCatch({{ suppressWarnings(suppressPackageStartupMessages({{ {code} }})); '' }}, "
        f"error = function(e) paste('failed:', conditionMessage(e))), '\\n{_MARK}{name}\\n', sep = '')"
        for name, code in checks.items()
    ]
    return "\n".join(said)


_MARK = "=== "


def failures(answer: Json, lang: str) -> dict[str, str]:
    """By check, why it failed, or nothing. AssertionError when the program itself broke off."""
    assert answer["exit_code"] == 0, answer["stderr"] + answer["stdout"]
    if lang == "py":
        found: dict[str, str] = json.loads(answer["stdout"].splitlines()[-1])
        return found
    pieces = f"\n{answer['stdout']}".split(f"\n{_MARK}")
    # Each begins with the name of its check, and what that said is at the end of the one before.
    said = zip(pieces[1:], pieces, strict=False)
    return {after.splitlines()[0]: before if "failed" in before else "" for after, before in said}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
