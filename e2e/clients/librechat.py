"""`LibreChat`: one version of the real client in a Node process, and the calls that a model makes with it."""

from __future__ import annotations

import base64
import itertools
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from e2e.clients import install

# An object of the wire: a file reference, an artifact, a listing's element.
Json = dict[str, Any]

USER = "64b7f0000000000000000001"

_BASH = """import subprocess, sys
sys.exit(subprocess.run(["bash", "-c", {!r}, "bash", *sys.argv[1:]]).returncode)"""


class ClientError(Exception):
    """What the real client threw."""


@dataclass(frozen=True, slots=True)
class ToolMessage:
    """What the model reads (`content`), and what LibreChat keeps: the artifact and the carried files."""

    content: str
    artifact: Json
    status: str
    carried: list[Json] = field(default_factory=list)
    calls: list[list[Any]] = field(default_factory=list)
    """Of a program: each tool that it called, with the input."""

    @property
    def stdout(self) -> str:
        """The part between the client's headings."""
        text = self.content.removeprefix("stdout:\n")
        return text.split("\nstderr:\n")[0].split("\nGenerated files:\n")[0]

    @property
    def stderr(self) -> str:
        return self.content.partition("stderr:\n")[2]

    @property
    def files(self) -> list[Json]:
        found: list[Json] = self.artifact.get("files") or []
        return found

    def file(self, name: str) -> Json:
        """The output of that name; ClientError when the run gave none."""
        for entry in self.files:
            if entry["name"] == name:
                return entry
        raise ClientError(f"no output {name!r} among {[entry['name'] for entry in self.files]}")


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a plain request, whatever its status."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class LibreChat:
    """Client of one version for one base URL. Not for several threads at once.

    `legacy` ones (2.4, 3.1) know `session_id` and `entity_id`; the others `storage_session_id`, `kind`, `id`.
    `sessions` are the ids of all that came to be by its calls.
    """

    def __init__(self, version: str, base: str, key: str | None = None, bearer: str | None = None) -> None:
        self.version = version
        self.legacy = version in install.LEGACY
        self.sessions: set[str] = set()
        self._conversations = itertools.count()
        self._process = subprocess.Popen(
            ["node", str(install.installed(version) / "driver.mjs")],
            env=_environment()
            | {"CODE_API_VERSION": version, "CODE_API_BASE": base}
            | {"CODE_API_KEY": key or "", "CODE_API_BEARER": bearer or ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._process.terminate()
        with self._process:
            self._process.wait()

    def python(self, code: str, files: Sequence[Json] = (), args: Sequence[str] = ()) -> ToolMessage:
        """`execute_code` in Python."""
        return self._call("execute_code", {"lang": "py", "code": code} | _given(args), files)

    def bash(self, command: str, files: Sequence[Json] = (), args: Sequence[str] = ()) -> ToolMessage:
        """`bash_tool`, or where the version has none `execute_code`."""
        return self._call(*self.bash_call(command, args), files)

    def execute_code(self, lang: str, code: str) -> ToolMessage:
        return self._call("execute_code", {"lang": lang, "code": code}, ())

    def program(self, tool: str, code: str, tools: Mapping[str, Json], timeout: int = 15000) -> ToolMessage:
        """A program that calls `tools`: by name what each results in, `{value}` or `{error}`; with neither,
        `{"got": input}`. `timeout` is in milliseconds."""
        return self.message(self.ask("program", tool=tool, code=code, tools=dict(tools), timeout=timeout))

    def bash_call(self, command: str, args: Sequence[str] = ()) -> tuple[str, Json]:
        """The tool and the arguments by which a model of this version runs a command."""
        if self.version.startswith("2.4."):
            return "execute_code", {"lang": "py", "code": _BASH.format(command)} | _given(args)
        if self.legacy:
            return "execute_code", {"lang": "bash", "code": command} | _given(args)
        return "bash_tool", {"command": command} | _given(args)

    def conversation(self, files: Sequence[Json] = ()) -> Conversation:
        """A conversation with these attachments, whose ToolNode carries files from call to call."""
        return Conversation(self, f"conversation-{next(self._conversations)}", list(files))

    def upload(self, name: str, content: bytes) -> Json:
        """A file attached by the user; the reference that LibreChat then sends with its calls."""
        fields = [["entity_id", "agent_abc"]] if self.legacy else [["kind", "user"], ["id", USER]]
        answer = self.ask("upload", path="/upload", fields=fields, files=[_part(name, content)])
        if answer["message"] != "success":
            raise ClientError(f"upload: {answer['message']}")
        return self._reference(answer, answer["files"][0]["fileId"], name)

    def upload_batch(self, contents: Mapping[str, bytes], *, read_only: bool) -> list[Json]:
        """A skill's files by relative path, as newer LibreChats upload them."""
        fields = [["kind", "skill"], ["id", "skill-1"], ["version", "3"]]
        fields += [["read_only", "true"]] if read_only else []
        parts = [_part(name, content) for name, content in contents.items()]
        answer = self.ask("upload", path="/upload/batch", fields=fields, files=parts)
        by_name = {entry["filename"]: entry["fileId"] for entry in answer["files"]}
        scope = {"kind": "skill", "resource_id": "skill-1", "version": 3}
        return [self._reference(answer, by_name[name], name) | scope for name in contents]

    def download(self, made: ToolMessage, name: str) -> Reply:
        """An output, with the session id that this version looks for: old ones know that of the run alone."""
        file, session = made.file(name), made.artifact["session_id"]
        owner = session if self.legacy else file.get("storage_session_id", session)
        return self.get(f"/download/{owner}/{file['id']}", **self.scope)

    @property
    def scope(self) -> dict[str, str]:
        """The query by which newer versions name the owner of an object."""
        return {} if self.legacy else {"kind": "user", "id": USER}

    def get(self, path: str, **query: str) -> Reply:
        return self._request("GET", path, query)

    def delete(self, path: str, **query: str) -> Reply:
        return self._request("DELETE", path, query)

    def ask(self, op: str, **command: Any) -> Any:
        """One command to the driver and its result; ClientError with what the client threw."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"op": op, **command}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise ClientError(f"the client's process ended with {self._process.wait()}")
        reply = json.loads(line)
        if error := reply.get("error"):
            raise ClientError(f"{error['name']}: {error['message']}")
        return reply["result"]

    def _call(self, tool: str, args: Json, files: Sequence[Json]) -> ToolMessage:
        return self.message(self.ask("call", tool=tool, args=args, files=list(files)))

    def message(self, result: Json) -> ToolMessage:
        """What the driver gave of a tool call."""
        artifact = result["artifact"] or {}
        self.sessions |= {artifact["session_id"]} if artifact.get("session_id") else set()
        carried, calls = result.get("carried", []), result.get("calls", [])
        return ToolMessage(result["content"], artifact, result["status"], carried, calls)

    def _request(self, method: str, path: str, query: Mapping[str, str]) -> Reply:
        result = self.ask("http", method=method, path=path, query=dict(query))
        return Reply(result["status"], result["headers"], base64.b64decode(result["base64"]))

    def _reference(self, answer: Json, file_id: str, name: str) -> Json:
        self.sessions.add(answer["session_id"])
        if self.legacy:
            return {"id": file_id, "session_id": answer["session_id"], "name": name}
        session = answer["storage_session_id"]
        return {
            "id": file_id,
            "resource_id": USER,
            "storage_session_id": session,
            "name": name,
            "kind": "user",
        }


@dataclass(frozen=True, slots=True)
class Conversation:
    client: LibreChat
    name: str
    attachments: list[Json]

    def python(self, code: str, args: Sequence[str] = ()) -> ToolMessage:
        return self._turn("execute_code", {"lang": "py", "code": code} | _given(args))

    def bash(self, command: str, args: Sequence[str] = ()) -> ToolMessage:
        return self._turn(*self.client.bash_call(command, args))

    def _turn(self, tool: str, args: Json) -> ToolMessage:
        where = {"conversation": self.name, "files": self.attachments}
        return self.client.message(self.client.ask("turn", tool=tool, args=args, **where))


def _given(args: Sequence[str]) -> Json:
    return {"args": list(args)} if args else {}


def _part(name: str, content: bytes) -> Json:
    return {"name": name, "base64": base64.b64encode(content).decode()}


def _environment() -> dict[str, str]:
    """Without a proxy: the clients would send what is meant for this machine through it."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("proxy")}
