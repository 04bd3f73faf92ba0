"""The OpenAPI document. Paths and parameters are FastAPI's own findings; bodies and answers are said here:
routes handle them by hand, for a form is never held as a whole, and no fault of a body is repeated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from codesession_api import schemas
from codesession_api.settings import Settings
from codesession_api.streaming import EVENT_STREAM
from codesession_api.wire import (
    Cancelled,
    CancelRequest,
    ExecAnswer,
    ExecRequest,
    ProgrammaticAnswer,
    ProgrammaticRequest,
)

Object = dict[str, Any]
Mode = Literal["validation", "serialization"]

_DESCRIPTION = """\
A place to run the code that a language model wrote: a drop-in for LibreChat's code interpreter.

All paths are served below `/v1` and bare. What a program did wrong is status 200 with text in `stderr`.
Requests may be in either of the two dialects of LibreChat's clients, and answers have the fields of both.
"""
_BYTES: Object = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
_HEADERS: Object = {"description": "The headers of GET alone."}
_SCHEMES: dict[str, tuple[str, Object]] = {
    "api-key": ("ApiKey", {"type": "apiKey", "in": "header", "name": "X-API-Key"}),
    "basic": ("Basic", {"type": "http", "scheme": "basic"}),
    "jwt": ("Bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}),
}


@dataclass(frozen=True)
class Operation:
    """What a route takes and gives. An answer is a model, or the response in OpenAPI's words."""

    answers: dict[int, type[BaseModel] | Object]
    refusals: tuple[int, ...] = ()
    body: tuple[str, type[BaseModel]] | None = None
    public: bool = False
    told: bool = False
    """Whether 200 is a stream of events where the client accepts one."""


_JSON = "application/json"
_EXEC = Operation(
    {200: ExecAnswer}, (400, 401, 403, 409, 415, 422, 429, 503), (_JSON, ExecRequest), told=True
)
_PROGRAM = Operation(
    {200: ProgrammaticAnswer}, (400, 401, 403, 404, 409, 415, 422, 429, 503), (_JSON, ProgrammaticRequest)
)
_CANCEL = Operation(
    {200: Cancelled, 202: Cancelled}, (400, 401, 403, 409, 415, 422, 503), (_JSON, CancelRequest)
)
_FORM = ("multipart/form-data", schemas.UploadForm)
_REFUSALS = (400, 401, 403, 404, 409, 503)
_DELETE = Operation({200: schemas.Deleted}, _REFUSALS)
_DOWNLOAD = Operation(
    {200: _BYTES, 206: _BYTES, 304: {"description": "If-None-Match names it."}}, (*_REFUSALS, 416)
)
_HEAD = Operation(dict.fromkeys((200, 206, 304, *_REFUSALS, 416), _HEADERS))
_READY = Operation({200: schemas.Readiness, 503: schemas.Readiness}, (409,), public=True)

OPERATIONS = {
    "post /exec": _EXEC,
    "post /run/exec": _EXEC,
    "post /exec/programmatic": _PROGRAM,
    "post /exec/programmatic/cancel": _CANCEL,
    "post /upload": Operation({200: schemas.Uploaded}, (400, 401, 403, 409, 413, 415, 503), _FORM),
    "post /upload/batch": Operation({200: schemas.BatchUploaded}, (400, 401, 403, 409, 413, 415, 503), _FORM),
    "get /files/{session_id}": Operation({200: schemas.Listing}, _REFUSALS),
    "get /download/{session_id}/{file_id}": _DOWNLOAD,
    "head /download/{session_id}/{file_id}": _HEAD,
    "get /file/{session_id}/{file_id}/content": Operation({200: schemas.Content}, (*_REFUSALS, 413)),
    "get /sessions/{session_id}/objects/{file_id}": Operation({200: schemas.Described}, _REFUSALS),
    "delete /sessions/{session_id}/objects/{file_id}": _DELETE,
    "delete /files/{session_id}/{file_id}": _DELETE,
    "delete /sessions/{session_id}": _DELETE,
    "get /sessions": Operation({200: schemas.Sessions}, (400, 401, 403, 409, 503)),
    "get /livez": Operation({200: schemas.Live}, (409,), public=True),
    "get /readyz": _READY,
    "get /health": _READY,
}
"""By method and path."""


def describe(app: FastAPI, settings: Settings) -> None:
    """Have `/openapi.json` say it; made when it is first asked for."""

    def document() -> Object:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, settings)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI, settings: Settings) -> Object:
    made = get_openapi(
        title="CodeSession",
        version=version("codesession"),
        description=_DESCRIPTION,
        routes=app.routes,
        servers=[{"url": "/v1"}, {"url": "/"}],
    )
    references, definitions = models_json_schema(
        sorted(set(_models()), key=lambda pair: (pair[0].__name__, pair[1])),
        ref_template="#/components/schemas/{model}",
    )
    schemes = dict(_SCHEMES[way] for way in settings.auth or () if way in _SCHEMES)
    made["components"] = {"schemas": definitions["$defs"], "securitySchemes": schemes}
    for path, methods in made["paths"].items():
        for method, said in methods.items():
            operation = OPERATIONS[f"{method} {path}"]
            said["responses"] = _responses(operation, references)
            if operation.told:
                said["responses"]["200"]["content"][EVENT_STREAM] = _events(references)
            if operation.body is not None:
                kind, model = operation.body
                content = {kind: {"schema": references[model, "validation"]}}
                said["requestBody"] = {"required": True, "content": content}
            if not operation.public:
                said["security"] = [{name: []} for name in schemes]
    return made


def _responses(operation: Operation, references: Mapping[Any, Object]) -> Object:
    answers = {status: _response(answer, references) for status, answer in operation.answers.items()}
    refusals = {status: _response(schemas.Error, references) for status in (*operation.refusals, 500)}
    return {str(status): response for status, response in sorted({**refusals, **answers}.items())}


def _response(answer: type[BaseModel] | Object, references: Mapping[Any, Object]) -> Object:
    if isinstance(answer, dict):
        return {"description": "The bytes of the file.", **answer}
    content = {"application/json": {"schema": references[answer, "serialization"]}}
    return {"description": (answer.__doc__ or answer.__name__).strip(), "content": content}


def _events(references: Mapping[Any, Object]) -> Object:
    """OpenAPI 3.1 has no word for the events of a stream: `x-events` says the schema of each one's data."""
    schema = {"type": "string", "description": "Server-Sent Events; their data is JSON, see `x-events`."}
    events = {name: references[model, "serialization"] for name, model in schemas.EVENTS.items()}
    return {"schema": schema, "x-events": events}


def _models() -> Iterator[tuple[type[BaseModel], Mode]]:
    yield schemas.Error, "serialization"
    yield from ((model, "serialization") for model in schemas.EVENTS.values())
    for operation in OPERATIONS.values():
        yield from (
            (answer, "serialization") for answer in operation.answers.values() if isinstance(answer, type)
        )
        if operation.body is not None:
            yield operation.body[1], "validation"
