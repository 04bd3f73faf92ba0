"""The tools: what each takes, says of itself and does."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal

import mcp_types as types
from pydantic import BaseModel, ConfigDict, Field

from codesession_api import guard, names, wire
from codesession_api.concurrency import closing
from codesession_api.errors import ObjectMissing, TooLarge, bad_request, not_found
from codesession_api.execution import Watch
from codesession_api.files import StoredFile
from codesession_api.mcp import results
from codesession_api.mcp.calls import Call, Calls
from codesession_api.mcp.history import KEPT, Execution, History
from codesession_api.ports import Principal, Stream
from codesession_api.services import Services
from codesession_api.texts import Texts
from codesession_api.wire import ExecAnswer, ExecRequest, FileRef
from codesession_crds.names import is_wire_id

_SESSIONS = 50
_FILES = 200
_TAIL = 200
"""Characters of the output that a progress notification has."""


class Arguments(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class InputFile(Arguments):
    id: str = Field(description="The file's id.")
    session_id: str = Field(description="The session_id that was given with that id.")
    name: str = Field(description="The path below /mnt/data where the code finds it.")


_SESSION = Field(
    None,
    description="session_id of an earlier result, to find the files and Python variables of that session.",
)
_INPUTS: list[InputFile] = Field(
    default_factory=list, description="Files to put into /mnt/data: of upload_file, or of other sessions."
)


class Code(Arguments):
    code: str = Field(description="The program's source. It runs in /mnt/data; files that it makes are kept.")
    session_id: str | None = _SESSION
    files: list[InputFile] = _INPUTS


class CodeOf(Code):
    lang: str = Field(description="The language, as get_system_info lists it.")


class Command(Arguments):
    command: str = Field(description="A command or script for bash. It runs in /mnt/data.")
    session_id: str | None = _SESSION
    files: list[InputFile] = _INPUTS


class Nothing(Arguments):
    pass


class Last(Arguments):
    limit: int = Field(10, ge=1, le=KEPT, description="How many executions, the newest first.")


class NewFile(Arguments):
    name: str = Field(min_length=1, max_length=1024, description="The file's name, such as data.csv.")
    content: str = Field(description="The file's content.")
    encoding: Literal["text", "base64"] = Field("text", description="How `content` stands for the bytes.")


class OfSession(Arguments):
    session_id: str = Field(description="The session's id, or the one that came with an upload.")


class StoredOf(OfSession):
    file: str = Field(description="The file's id, or else its name: then the newest of that name.")


@dataclass(slots=True)
class Toolbox:
    """What the tools work with."""

    services: Services
    calls: Calls
    history: History = field(init=False)

    def __post_init__(self) -> None:
        self.history = History(self.services.files)

    @property
    def remembers(self) -> bool:
        return guard.tells_sessions(self.services.settings)


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    description: str
    arguments: type[Arguments]
    run: Callable[[Toolbox, Call, Any], Awaitable[types.CallToolResult]]
    writes: bool = True
    language: str | None = None
    """It is there where this is."""
    remembering: bool = False
    """It is there where `Toolbox.remembers`."""

    def told(self) -> types.Tool:
        hints = types.ToolAnnotations(read_only_hint=not self.writes, open_world_hint=False)
        return types.Tool(
            name=self.name,
            description=self.description,
            input_schema=self.arguments.model_json_schema(),
            annotations=hints,
        )


def offered(box: Toolbox) -> dict[str, Tool]:
    """Those of this deployment, by name."""
    languages = box.services.settings.languages
    return {
        tool.name: tool
        for tool in TOOLS
        if tool.language in (None, *languages) and (box.remembers or not tool.remembering)
    }


# --- what they do


async def _execute(box: Toolbox, call: Call, given: CodeOf) -> types.CallToolResult:
    return await _run(box, call, given.lang, given.code, given)


async def _python(box: Toolbox, call: Call, given: Code) -> types.CallToolResult:
    return await _run(box, call, "py", given.code, given)


async def _javascript(box: Toolbox, call: Call, given: Code) -> types.CallToolResult:
    return await _run(box, call, "js", given.code, given)


async def _bash(box: Toolbox, call: Call, given: Command) -> types.CallToolResult:
    return await _run(box, call, "bash", given.command, given)


async def _run(box: Toolbox, call: Call, lang: str, code: str, given: Code | Command) -> types.CallToolResult:
    files = [FileRef(id=file.id, name=file.name, storage_session_id=file.session_id) for file in given.files]
    request = ExecRequest(lang=lang, code=code, files=files, session_id=given.session_id)
    output = _Output()
    watch = Watch(output.heard, call.name, call.group)
    answer = await box.calls.follow(call, box.services.executor.execute(call.by, request, watch), output.tail)
    answer = output.whole(answer)
    if box.remembers:
        await box.history.add(call.by, Execution.of(code, answer))
    images = [
        results.image(file.name, await _read(box, await _named(box, call.by, file.session_id, file.id)))
        for file in results.shown(answer)
    ]
    return results.executed(answer, images, links=call.links)


class _Output:
    """A run's texts, as they come and as a whole."""

    def __init__(self) -> None:
        self._texts = Texts()
        self._told: dict[Stream, list[str]] = {stream: [] for stream in Stream}
        self._last = ""

    async def heard(self, stream: Stream, data: bytes) -> None:
        self._keep(stream, self._texts.decode(stream, data))

    def tail(self) -> str:
        return self._last.rstrip() or "running"

    def whole(self, answer: ExecAnswer) -> ExecAnswer:
        for stream, text in self._texts.rest(answer):
            self._keep(stream, text)
        texts = {stream.value: "".join(told) for stream, told in self._told.items()}
        return answer.model_copy(update=texts)

    def _keep(self, stream: Stream, text: str) -> None:
        self._told[stream].append(text)
        self._last = (self._last + text)[-_TAIL:]


async def _create_session(box: Toolbox, call: Call, given: Nothing) -> types.CallToolResult:
    claim = box.services.sandboxes.claim(call.by, call.group)
    sandbox = await box.calls.follow(call, claim, lambda: "waiting for a sandbox")
    return results.data({"session_id": sandbox.session_id})


async def _list_sessions(box: Toolbox, call: Call, given: Nothing) -> types.CallToolResult:
    live = box.services.sandboxes.sessions(call.by)
    told = [
        {
            "session_id": one.session_id,
            "begun": wire.moment(one.claimed),
            "ends_unless_used": wire.moment(one.ends),
        }
        for one in live[:_SESSIONS]
    ]
    return results.data({"sessions": told, "more": max(len(live) - _SESSIONS, 0)})


async def _history(box: Toolbox, call: Call, given: Last) -> types.CallToolResult:
    latest = await box.history.latest(call.by, given.limit)
    return results.data({"executions": [one.model_dump(mode="json", exclude_none=True) for one in latest]})


async def _system(box: Toolbox, call: Call, given: Nothing) -> types.CallToolResult:
    settings = box.services.settings
    limits = {
        "run_seconds": settings.run_seconds,
        "output_bytes": settings.output_bytes,
        "upload_bytes": min(settings.upload_file_bytes, settings.request_bytes // 4 * 3),
        "download_bytes": settings.content_bytes,
        "files_of_a_run": settings.run_files,
        "retention_hours": settings.retention_hours,
    }
    return results.data(
        {
            "version": version("codesession"),
            "isolation": box.services.sandboxes.isolation,
            "languages": list(settings.languages),
            "working_directory": "/mnt/data",
            "limits": limits,
        }
    )


async def _upload(box: Toolbox, call: Call, given: NewFile) -> types.CallToolResult:
    content = _decoded(given)
    key = await box.services.uploader.take(call.by, given.name, content)
    return results.data(
        {"id": key.file_id, "session_id": key.session, "name": key.name, "size": len(content)}
    )


async def _download(box: Toolbox, call: Call, given: StoredOf) -> types.CallToolResult:
    file = await _named(box, call.by, given.session_id, given.file)
    content, name = await _read(box, file), file.key.name
    if results.image_type(name) and len(content) <= results.IMAGE_BYTES:
        return types.CallToolResult(content=[results.image(name, content)])
    where = results.uri(file.key.session, file.key.file_id, name)
    embedded = types.EmbeddedResource(resource=results.resource(where, name, content))
    return types.CallToolResult(content=[embedded])


async def _list_files(box: Toolbox, call: Call, given: OfSession) -> types.CallToolResult:
    listed = await box.services.files.listing(call.by, _session(given.session_id))
    told = [
        {
            "id": file.key.file_id,
            "session_id": file.key.session,
            "name": file.key.name,
            "size": file.info.size,
            "modified": wire.moment(file.info.modified),
        }
        for file in listed[-_FILES:]
    ]
    return results.data({"files": told, "older": max(len(listed) - _FILES, 0)})


async def read_resource(box: Toolbox, by: Principal, uri: str) -> types.ReadResourceResult:
    """Raises what a download raises."""
    parsed = results.parse_uri(uri)
    if parsed is None:
        raise not_found("resource")
    session, file_id, _ = parsed
    file = await _named(box, by, session, file_id)
    content = await _read(box, file)
    return types.ReadResourceResult(contents=[results.resource(uri, file.key.name, content)])


async def _named(box: Toolbox, by: Principal, session: str, id_or_name: str) -> StoredFile:
    files = box.services.files
    if is_wire_id(id_or_name):
        try:
            return await files.find(by, _session(session), id_or_name)
        except ObjectMissing:
            pass
    return await files.find_named(by, _session(session), names.clean(id_or_name))


async def _read(box: Toolbox, file: StoredFile) -> bytes:
    limit = box.services.settings.content_bytes
    if file.info.size > limit:
        raise TooLarge("file", limit)
    async with closing(box.services.files.read(file)) as chunks:
        return b"".join([chunk async for chunk in chunks])


def _session(given: str) -> str:
    if not is_wire_id(given):
        raise not_found("session")
    return given


def _decoded(given: NewFile) -> bytes:
    if given.encoding == "text":
        return given.content.encode("utf-8", "replace")
    try:
        return base64.b64decode(given.content, validate=True)
    except (binascii.Error, ValueError):
        raise bad_request("content is not valid base64.") from None


_OUTPUT = (
    "Output comes back as text, PNG and JPEG files as images, all files as links. Without session_id the "
    "code starts in an empty directory; with that of an earlier result it finds what is there."
)

TOOLS = (
    Tool("execute_code", f"Run a program in a sandbox without network. {_OUTPUT}", CodeOf, _execute),
    Tool(
        "execute_python_code",
        f"Run Python in a sandbox without network; numpy, pandas and matplotlib are there. {_OUTPUT}",
        Code,
        _python,
        language="py",
    ),
    Tool(
        "execute_javascript_code",
        f"Run JavaScript on Node.js in a sandbox without network. {_OUTPUT}",
        Code,
        _javascript,
        language="js",
    ),
    Tool(
        "execute_bash_command",
        f"Run a bash command or script in a sandbox without network. {_OUTPUT}",
        Command,
        _bash,
        language="bash",
    ),
    Tool(
        "create_execution_session",
        "Get a sandbox of one's own ahead, and its session_id for the calls that follow.",
        Nothing,
        _create_session,
    ),
    Tool(
        "list_sessions",
        "The live sessions, the newest first, and when each ends if it is not used.",
        Nothing,
        _list_sessions,
        writes=False,
        remembering=True,
    ),
    Tool(
        "get_execution_history",
        "The last executions: code, the end of their output, exit code, session_id and files.",
        Last,
        _history,
        writes=False,
        remembering=True,
    ),
    Tool(
        "get_system_info",
        "Languages, limits and isolation of the sandboxes.",
        Nothing,
        _system,
        writes=False,
    ),
    Tool(
        "upload_file",
        "Store a file. What comes back names it in the `files` of an execution.",
        NewFile,
        _upload,
    ),
    Tool("download_file", "The content of a file.", StoredOf, _download, writes=False),
    Tool(
        "list_files",
        "The files of a session or an upload, the oldest first; each change of a file is one of its own.",
        OfSession,
        _list_files,
        writes=False,
    ),
)
