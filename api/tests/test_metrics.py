"""What Prometheus is told, by a server of its own process: at its own port, and never what people send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from codesession_api import metrics
from codesession_api.errors import SandboxLost

KEY = "canary-key"
CODE = "import sys; print(open(sys.argv[1]).read()); open('canary-made.txt', 'w').write('canary')"


class Told:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"

    def text(self) -> str:
        return httpx.get(self._url, trust_env=False).raise_for_status().text

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name that have these labels."""
        families = text_string_to_metric_families(self.text())
        samples = [sample for family in families for sample in family.samples]
        named = [sample for sample in samples if sample.name == f"codesession_api_{name}"]
        return sum(sample.value for sample in named if labels.items() <= sample.labels.items())


@pytest.fixture
def served(
    run_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, unused_port: int
) -> Iterator[tuple[Any, Told]]:
    with run_server(tmp_path_factory.mktemp("server"), metrics_port=unused_port) as server:
        yield server, Told(unused_port)


def test_a_run_and_its_files_are_counted(served: tuple[Any, Told]) -> None:
    server, told = served
    uploaded = server.client.post("/v1/upload", files={"file": ("canary.csv", b"canary!")}).json()
    file = {"id": uploaded["files"][0]["fileId"], "session_id": uploaded["session_id"], "name": "canary.csv"}
    answer = server.exec(CODE, args=["canary.csv"], files=[file])
    assert answer["stdout"] == "canary!\n"
    server.exec("canary", lang="py", session_id=answer["session_id"])
    assert told("runs_total", language="py", outcome="exit") == 2
    assert told("run_seconds_count", language="py") == 2
    assert told("first_byte_seconds_count") == 2
    assert told("claim_seconds_count") == 1
    assert (told("transfer_bytes_total", direction="in"), told("transfer_bytes_total", direction="out")) == (
        7,
        6,
    )
    assert told("transfer_seconds_count") == 2
    assert told("requests_total", method="POST", route="/exec", status="200") == 2
    assert told("request_seconds_count", route="/exec") == 2
    assert told("runs_in_flight") == 0


def test_refusals_are_counted_and_nothing_that_was_sent_is_told(served: tuple[Any, Told]) -> None:
    server, told = served
    assert server.client.post("/v1/exec", content=b"canary").status_code == 400
    assert server.client.get("/v1/canary").status_code == 404
    assert httpx.request("PROPFIND", f"{server.url}/v1/exec", trust_env=False).status_code == 405
    server.exec("canary", lang="canary")
    assert told("errors_total", cause="bad_request") == 1
    assert told("requests_total", route="(none)", status="404") == 1
    assert told("requests_total", method="other", status="405") == 1
    assert "canary" not in told.text().lower()


def test_the_public_port_has_no_metrics(served: tuple[Any, Told]) -> None:
    server, _ = served
    assert server.client.get("/metrics").status_code == 404
    assert server.client.get("/v1/metrics").status_code == 404


def test_without_a_port_nothing_listens() -> None:
    with metrics.served("127.0.0.1", None):
        assert metrics.REGISTRY.get_sample_value("codesession_api_streams_held") == 0


def test_causes_are_named_as_their_classes() -> None:
    def lost() -> float:
        return (
            metrics.REGISTRY.get_sample_value("codesession_api_errors_total", {"cause": "sandbox_lost"}) or 0
        )

    before = lost()
    metrics.failed(SandboxLost("canary"))
    assert lost() == before + 1
