"""What CodeSession promises beyond LibreChat's contract, on both targets."""

from __future__ import annotations

import httpx
import pytest

from e2e.targets import Target


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz", "/v1/health"])
def test_it_is_well(target: Target, path: str) -> None:
    """Nobody has to show a key for it."""
    answer = httpx.get(target.url + path, trust_env=False)
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


def test_health_names_the_isolation(target: Target) -> None:
    isolation = httpx.get(f"{target.url}/health", trust_env=False).json()["isolation"]
    assert isolation in ({"gvisor"} if target.name == "cluster" else {"runsc", "bubblewrap"})


def test_packages_are_there(http: httpx.Client) -> None:
    stored = http.post("/v1/upload", files={"file": ("cities.csv", b"city,people\nOslo,709037\n")}).json()
    reference = {
        "id": stored["files"][0]["fileId"],
        "session_id": stored["session_id"],
        "name": "cities.csv",
    }
    code = (
        "import numpy, matplotlib, PIL, openpyxl, pandas as pd\nprint(pd.read_csv('cities.csv').people.sum())"
    )
    answer = http.post("/v1/exec", json={"lang": "py", "code": code, "files": [reference]})
    assert answer.json()["stdout"] == "709037\n"
