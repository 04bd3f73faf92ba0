"""The OpenAPI document: valid, whole, and held to: `documented` checks the answers of the HTTP tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import ValidationError
from openapi_spec_validator import validate

from codesession_api.openapi import OPERATIONS
from documented import Documentation
from fakes import serving


async def fetched(directory: Path, **settings: Any) -> dict[str, Any]:
    async with serving(directory, **settings) as api:
        response = await api.client.send(api.client.build_request("GET", "/v1/openapi.json"))
        document: dict[str, Any] = response.json()
        return document


async def test_it_is_valid_and_describes_every_route_and_no_other(tmp_path: Path) -> None:
    document = await fetched(tmp_path)
    validate(document)
    assert document["openapi"].startswith("3.1.")
    said = {f"{method} {path}" for path, methods in document["paths"].items() for method in methods}
    assert said == set(OPERATIONS)
    names = [said["operationId"] for methods in document["paths"].values() for said in methods.values()]
    assert len(set(names)) == len(names)


async def test_both_dialects_and_the_limits_of_each_route_are_in_it(tmp_path: Path) -> None:
    document = await fetched(tmp_path)
    schemas, paths = document["components"]["schemas"], document["paths"]
    assert {"session_id", "storage_session_id", "kind", "resource_id"} <= set(
        schemas["FileRef"]["properties"]
    )
    assert {"session_id", "output", "exit_code", "wall_time"} <= set(schemas["ExecAnswer"]["properties"])
    for path in ("/exec", "/run/exec"):
        said = paths[path]["post"]
        assert said["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/ExecRequest")
        assert {"400", "409", "415", "422", "429", "503"} <= set(said["responses"])
    assert {"413", "415"} <= set(paths["/upload"]["post"]["responses"])


async def test_it_says_how_one_proves_who_one_is(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")
    document = await fetched(tmp_path / "objects", auth="api-key, basic", api_keys_file=tmp_path / "keys")
    assert set(document["components"]["securitySchemes"]) == {"ApiKey", "Basic"}
    assert document["paths"]["/exec"]["post"]["security"] == [{"ApiKey": []}, {"Basic": []}]
    assert "security" not in document["paths"]["/livez"]["get"]
    validate(document)
    assert (await fetched(tmp_path / "more"))["paths"]["/exec"]["post"]["security"] == []


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/livez", 200, {"status": "bad"}),
        ("GET", "/livez", 200, {"status": "ok", "more": 1}),
        ("GET", "/v1/livez", 418, {"error": "x", "message": "x"}),
        ("GET", "/none", 404, {"detail": "Not Found"}),
        ("GET", "/none", 200, {}),
        ("POST", "/exec", 200, {"stdout": 1}),
    ],
)
async def test_the_check_would_notice(tmp_path: Path, method: str, path: str, status: int, body: Any) -> None:
    said = Documentation(await fetched(tmp_path))
    headers = {"content-type": "application/json"}
    asked = httpx.Request(method, "http://x" + path)
    response = httpx.Response(status, headers=headers, content=json.dumps(body), request=asked)
    with pytest.raises((AssertionError, ValidationError)):
        said.check(response)
