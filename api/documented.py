"""Clients for tests that compare each answer with what the server's own OpenAPI document says of it."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from codesession_api.middleware import plain

Object = dict[str, Any]
DOCUMENT = "/openapi.json"


class Documentation:
    """`check` raises AssertionError, and ValidationError where a body is another than is said."""

    def __init__(self, document: Object) -> None:
        self._paths = {_pattern(path): methods for path, methods in document["paths"].items()}
        self._components = closed(document["components"])

    def check(self, response: httpx.Response) -> None:
        method, path = response.request.method.lower(), plain(response.request.url.path)
        found = [
            said[method]
            for pattern, said in self._paths.items()
            if pattern.fullmatch(path) and method in said
        ]
        if not found:
            assert response.status_code in (401, 404, 405), f"{method} {path} is not in the document"
            self._validate_json({"$ref": "#/components/schemas/Error"}, response)
            return
        status = str(response.status_code)
        assert status in found[0]["responses"], f"{method} {path}: {status} is not in the document"
        self._validate_body(found[0]["responses"][status], response)

    def _validate_body(self, said: Object, response: httpx.Response) -> None:
        content = said.get("content", {})
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            for name, data in events(response.text):
                self._validate(content["text/event-stream"]["x-events"][name], data)
        elif "application/json" in content:
            assert response.headers["content-type"] == "application/json"
            self._validate_json(content["application/json"]["schema"], response)
        elif not content:
            assert not response.content

    def _validate_json(self, schema: Object, response: httpx.Response) -> None:
        if response.request.method != "HEAD":
            self._validate(schema, response.json())

    def _validate(self, schema: Object, value: Any) -> None:
        Draft202012Validator({**schema, "components": self._components}).validate(value)


def events(text: str) -> list[tuple[str, Any]]:
    """The events of a stream, each with its name and its data; comments are left out."""
    told = [block.split("\n") for block in text.split("\n\n") if block and not block.startswith(":")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in told]


def closed(components: Object) -> Object:
    """The schemas, with no properties but those that they name."""
    strict = copy.deepcopy(components)
    for schema in strict["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return strict


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{\w+\}", path)
    # In place of a file's id its name can stand, with slashes, for which OpenAPI has no word.
    last = ".+" if path.startswith("/download/") else "[^/]+"
    if len(parts) == 1:
        return re.compile(re.escape(path))
    return re.compile("[^/]+".join(map(re.escape, parts[:-1])) + last + re.escape(parts[-1]))


class DocumentedClient(httpx.Client):
    _said: Documentation | None = None

    def request(self, *args: Any, **kwargs: Any) -> httpx.Response:
        if self._said is None:
            self._said = Documentation(super().request("GET", DOCUMENT).json())
        response = super().request(*args, **kwargs)
        self._said.check(response)
        return response


class AsyncDocumentedClient(httpx.AsyncClient):
    _said: Documentation | None = None

    async def request(self, *args: Any, **kwargs: Any) -> httpx.Response:
        if self._said is None:
            self._said = Documentation((await super().request("GET", DOCUMENT)).json())
        response = await super().request(*args, **kwargs)
        if response.request.method != "OPTIONS":
            self._said.check(response)
        return response
