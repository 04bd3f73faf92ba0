"""What a tool's caller is given: text for a model to read, images to see, links to files."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote, unquote

import mcp_types as types
from pydantic import ValidationError

from codesession_api import media, names
from codesession_api.errors import ApiError
from codesession_api.wire import AnswerFile, ExecAnswer
from codesession_crds.names import is_wire_id

IMAGE_BYTES = 3 * 1024 * 1024
"""Of the largest image that comes back as such; models take little more."""
IMAGES = 8
"""That come back with one run."""
LINKS = 50

_IMAGES = frozenset({"image/png", "image/jpeg"})
_SCHEME = "codesession://"
TEMPLATE = _SCHEME + "{session_id}/{file_id}/{name}"


def uri(session_id: str, file_id: str, name: str) -> str:
    return f"{_SCHEME}{session_id}/{file_id}/{quote(name)}"


def parse_uri(uri: str) -> tuple[str, str, str] | None:
    """Session, file and name; None of what is no such URI."""
    parts = uri.removeprefix(_SCHEME).split("/", 2)
    if not uri.startswith(_SCHEME) or len(parts) != 3 or not all(map(is_wire_id, parts[:2])):
        return None
    return parts[0], parts[1], unquote(parts[2])


def text(said: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=said)])


def data(value: Any) -> types.CallToolResult:
    """JSON, which models read as well as programs do."""
    return text(json.dumps(value, ensure_ascii=False, indent=1))


def failed(error: ApiError) -> types.CallToolResult:
    """A refusal in words; a model cannot see a status."""
    again = f" Try again in {error.retry_after} seconds." if error.retry_after else ""
    return types.CallToolResult(content=[types.TextContent(text=error.message + again)], is_error=True)


def invalid(error: ValidationError) -> types.CallToolResult:
    """What is wrong with the arguments and where; nothing of them is repeated."""
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    said = [f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}" for fault in faults]
    return types.CallToolResult(content=[types.TextContent(text="\n".join(said))], is_error=True)


def made(answer: ExecAnswer) -> list[AnswerFile]:
    """The files of the answer that are new."""
    return [file for file in answer.files if not file.inherited]


def image_type(name: str) -> str | None:
    kind = media.content_type(name)
    return kind if kind in _IMAGES else None


def shown(answer: ExecAnswer) -> list[AnswerFile]:
    """Those that come back as images."""
    fitting = [file for file in made(answer) if image_type(file.name) and (file.size or 0) <= IMAGE_BYTES]
    return fitting[:IMAGES]


def image(name: str, content: bytes) -> types.ImageContent:
    return types.ImageContent(
        data=base64.b64encode(content).decode(), mime_type=image_type(name) or media.DEFAULT
    )


def executed(answer: ExecAnswer, images: list[types.ImageContent], *, links: bool) -> types.CallToolResult:
    """`answer` as text, then images, then links to the files. It is an error where nothing ran: what a
    program did wrong is for the model to read, and no failure of the tool."""
    content: list[types.ContentBlock] = [types.TextContent(text=_told(answer)), *images]
    if links:
        content += [_link(file) for file in made(answer)[:LINKS]]
    ran = answer.exit_code is not None or answer.wall_time is not None
    return types.CallToolResult(content=content, is_error=not ran)


def resource(
    where: str, name: str, content: bytes
) -> types.TextResourceContents | types.BlobResourceContents:
    """The bytes of a file, as text where they are some."""
    kind = media.content_type(name)
    try:
        return types.TextResourceContents(uri=where, mime_type=_texts(kind), text=content.decode())
    except UnicodeDecodeError:
        blob = base64.b64encode(content).decode()
        return types.BlobResourceContents(uri=where, mime_type=kind, blob=blob)


def _texts(kind: str) -> str:
    return "text/plain" if kind == media.DEFAULT else kind


def _told(answer: ExecAnswer) -> str:
    parts = [answer.stdout, f"stderr:\n{answer.stderr}" if answer.stderr else ""]
    if not any(parts):
        parts = ["The program printed nothing."]
    if files := made(answer):
        parts.append("Files made:\n" + "\n".join(map(_listed, files)))
    if answer.deleted_files:
        parts.append("Files deleted: " + ", ".join(answer.deleted_files))
    if answer.session_id:
        code = "" if answer.exit_code is None else f", exit code: {answer.exit_code}"
        parts.append(f"[session_id: {answer.session_id}{code}]")
    return "\n".join(part.removesuffix("\n") for part in parts if part)


def _listed(file: AnswerFile) -> str:
    return f"- {file.name} ({file.size} bytes, id: {file.id}, session_id: {file.session_id})"


def _link(file: AnswerFile) -> types.ResourceLink:
    return types.ResourceLink(
        uri=uri(file.storage_session_id, file.id, file.name),
        name=names.base(file.name),
        mime_type=media.content_type(file.name),
        size=file.size,
    )
