"""`codesession local` as `make run` starts it: nobody is asked for a key, on loopback."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from e2e.targets.embedded import embedded


@pytest.mark.sandbox
def test_it_answers_without_a_key(tmp_path: Path) -> None:
    with embedded(tmp_path) as target:
        offer = httpx.get(f"{target.url}/playground/offer.json", trust_env=False)
        answer = httpx.post(
            f"{target.url}/v1/exec",
            json={"lang": "py", "code": "print(40 + 2)"},
            headers={"X-API-Key": "whatever"},
            timeout=60,
            trust_env=False,
        )
    assert answer.json()["stdout"] == "42\n"
    assert offer.json() == {"languages": ["py", "bash"], "credential": None, "sessions": True}
    assert not target.keys
