"""What the SDK asks: which tools there are, to call one, to read a file. Errors are told in words, since what
reads them is a model; of unforeseen ones the log has the trace and the client nothing."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError
from starlette.requests import Request

from codesession_api import metrics
from codesession_api.errors import ApiError, refusal
from codesession_api.mcp import calls, results, tools
from codesession_api.mcp.calls import Call
from codesession_api.mcp.tools import Toolbox

log = logging.getLogger(__name__)

PRINCIPAL = "codesession.principal"
"""Where the ASGI scope holds whose request it is."""
SLOT = "codesession.slot"
"""There, if the request itself holds a slot for what it does."""
SESSION_HEADER = "mcp-session-id"

_LINKS_SINCE = "2025-06-18"
"""Versions of the protocol are dates."""
_INSTRUCTIONS = "Runs code in isolated sandboxes. To go on where a result ended, name its session_id again."

Context = ServerRequestContext[Any, Request]


def of(box: Toolbox) -> Server[Any]:
    offered = tools.offered(box)

    async def list_tools(
        context: Context, given: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool.told() for tool in offered.values()])

    async def call_tool(context: Context, given: types.CallToolRequestParams) -> types.CallToolResult:
        tool = offered.get(given.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, "There is no such tool.")
        try:
            arguments = tool.arguments.model_validate(given.arguments or {})
        except ValidationError as error:
            return results.invalid(error)
        try:
            with _slot(box, context):
                return await tool.run(box, _call(context), arguments)
        except Exception as error:
            return results.failed(_refused(error))

    async def read(context: Context, given: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        try:
            return await tools.read_resource(box, _principal(context), given.uri)
        except Exception as error:
            raise MCPError(types.INVALID_PARAMS, _refused(error).message) from None

    async def templates(
        context: Context, given: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        file = types.ResourceTemplate(
            uri_template=results.TEMPLATE, name="file", description="A file of a session."
        )
        return types.ListResourceTemplatesResult(resource_templates=[file])

    async def resources(
        context: Context, given: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """None: list_files lists a session's."""
        return types.ListResourcesResult(resources=[])

    made: Server[Any] = Server(
        "codesession",
        version=version("codesession"),
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=resources,
        on_list_resource_templates=templates,
        on_read_resource=read,
        get_tool_input_schema=lambda name: offered[name].told().input_schema if name in offered else None,
    )
    # There by default is a span of the SDK's, which has the client's own words, and texts of exceptions.
    made.middleware.clear()
    return made


def _call(context: Context) -> Call:
    request, by = _request(context), _principal(context)
    group = calls.group_of(by, request.headers.get(SESSION_HEADER))

    async def progress(seconds: float, said: str) -> None:
        await context.session.report_progress(seconds, None, said)

    return Call(
        by,
        progress,
        links=context.protocol_version >= _LINKS_SINCE,
        group=group,
        name=calls.name_of(group, context.request_id),
    )


def _request(context: Context) -> Request:
    assert context.request is not None
    return context.request


def _principal(context: Context) -> Any:
    return _request(context).scope[PRINCIPAL]


@contextlib.contextmanager
def _slot(box: Toolbox, context: Context) -> Iterator[None]:
    if _request(context).scope.get(SLOT):
        yield
    else:
        with box.services.slots.taken(_principal(context).principal):
            yield


def _refused(error: Exception) -> ApiError:
    refused = refusal(error)
    metrics.ERRORS.labels(refused.code).inc()
    if refused.status == 500:
        log.error("a tool failed", exc_info=error)
    return refused
