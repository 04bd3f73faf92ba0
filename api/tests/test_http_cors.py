"""Web pages of other origins: none by default, those that are configured, and failures as well as answers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from fakes import serving

PAGE = "https://chat.example.org"
BODY = {"lang": "py", "code": ""}


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "keys").write_text(f"acme:{hashlib.sha256(b'key').hexdigest()}")
    return {"auth": "api-key", "api_keys_file": tmp_path / "keys"}


async def test_by_default_no_page_may_read_anything(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
        for response in (
            await api.client.options("/exec", headers=asked),
            await api.client.post("/exec", json=BODY, headers={"Origin": PAGE}),
        ):
            assert not [name for name in response.headers if name.startswith("access-control")]


async def test_a_preflight_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path, cors_origins=PAGE) as api:
        asked = {
            "Origin": PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type, x-api-key, authorization",
        }
        for path in ("/exec", "/v1/exec", f"/v1/sessions/{'S' * 21}"):
            well = await api.client.options(path, headers=asked)
            assert well.status_code == 200
            assert well.headers["access-control-allow-origin"] == PAGE
            assert "DELETE" in well.headers["access-control-allow-methods"]
            assert "x-api-key" in well.headers["access-control-allow-headers"]
        other = await api.client.options("/exec", headers={**asked, "Origin": "https://evil.example"})
        assert other.status_code == 400
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(("origins", "allowed"), [(f"https://a.example, {PAGE}", PAGE), ("*", "*")])
async def test_answers_and_failures_can_be_read(
    tmp_path: Path, keys: dict[str, Any], origins: str, allowed: str
) -> None:
    async with serving(tmp_path / "objects", cors_origins=origins, **keys) as api:
        page, key = {"Origin": PAGE}, {"X-API-Key": "key"}
        answers = [await api.client.post("/exec", json=BODY, headers=page | key)]
        answers.append(await api.client.post("/exec", json=BODY, headers=page))
        answers.append(await api.client.get("/none", headers=page))
        api.sandboxes.failure = RuntimeError("unforeseen")
        answers.append(await api.client.post("/exec", json=BODY, headers=page | key))
        assert [answer.status_code for answer in answers] == [200, 401, 404, 500]
        for answer in answers:
            assert answer.headers["access-control-allow-origin"] == allowed
            exposed = answer.headers["access-control-expose-headers"].split(", ")
            assert {"X-Request-Id", "Content-Disposition", "Retry-After"} <= set(exposed)
            assert "access-control-allow-credentials" not in answer.headers


async def test_another_page_is_answered_and_may_not_read_it(tmp_path: Path) -> None:
    async with serving(tmp_path, cors_origins=PAGE) as api:
        response = await api.client.post("/exec", json=BODY, headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": PAGE},
        {"Origin": "null"},
        # Its name was made to lead here, so that the browser lets it read the answer.
        {"Origin": "http://evil.example:8000", "Host": "evil.example:8000"},
        {"Host": "evil.example:8000"},
    ],
)
@pytest.mark.parametrize("path", ["/exec", "/exec/programmatic", "/upload", "/sessions"])
async def test_a_page_of_another_site_runs_nothing_where_nobody_is_asked_for_credentials(
    tmp_path: Path, path: str, headers: dict[str, str]
) -> None:
    async with serving(tmp_path, auth="none", host="127.0.0.1") as api:
        plain = {"Content-Type": "text/plain", **headers}  # which no browser asks about first
        content = '{"lang": "py", "code": "print(1)"}'
        method = "GET" if path == "/sessions" else "POST"
        refused = await api.client.request(method, path, content=content, headers=plain)
        assert (refused.status_code, refused.json()["error"]) == (403, "forbidden")
        assert not api.sandboxes.claims
        assert (await api.client.get("/livez", headers=headers)).status_code == 200
