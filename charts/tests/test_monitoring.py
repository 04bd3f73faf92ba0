"""What is offered to Prometheus and Grafana can be read by them, and asks for what is told."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from charts import crds
from codesession_api import metrics as api
from codesession_crds.client import KubeClient
from codesession_crds.connection import Connection
from codesession_operator.operator import Operator
from codesession_operator.settings import OperatorSettings
from e2e.cluster.cache import binary

# The first of them may have to build helm and what reads PromQL.
pytestmark = pytest.mark.timeout(900)

Chart = Callable[..., list[dict[str, Any]]]
FILES = crds.CHART / "monitoring"
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def names(registry: CollectorRegistry) -> set[str]:
    families = registry.collect()
    return {family.name + suffix for family in families for suffix in SUFFIXES.get(family.type, ())}


async def exported() -> set[str]:
    connection = Connection("http://127.0.0.1:1", SimpleNamespace(proxy=None), tls=False)
    async with KubeClient(connection) as client:
        return names(api.REGISTRY) | names(Operator(client, OperatorSettings()).metrics.registry)


def asked_for(*files: str, expressions: str = "") -> set[str]:
    """The metrics' names; AssertionError with what Prometheus' own parser says."""
    done = subprocess.run(
        [binary("promql"), *files], check=False, input=expressions, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def expressions(node: Any) -> Iterator[str]:
    """Of a dashboard, with Grafana's variables filled in."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from [value.replace("$__rate_interval", "5m")] if key == "expr" else expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


async def test_alerts_ask_for_what_is_exported() -> None:
    asked = asked_for(str(FILES / "rules.yaml"))
    assert len(asked) > 5
    assert asked <= await exported()


async def test_the_dashboard_shows_what_is_exported() -> None:
    dashboard = json.loads((FILES / "dashboard.json").read_text())
    found = list(expressions(dashboard))
    assert len(found) >= len(dashboard["panels"])
    asked = asked_for(expressions="\n".join(found))
    assert asked <= await exported()
    # All that is told is shown, but for the parts of a histogram.
    families = {
        re.sub("_(bucket|sum|count)$", "", name) for name in await exported() if "codesession" in name
    }
    shown = {re.sub("_(bucket|sum|count)$", "", name) for name in asked}
    assert families - shown == {"codesession_operator_objects", "codesession_operator_watches_behind"}


def test_an_expression_that_cannot_be_read_is_found(tmp_path: Any) -> None:
    with pytest.raises(AssertionError, match="unclosed"):
        asked_for(expressions="sum(a")
    wrong = tmp_path / "rules.yaml"
    wrong.write_text("groups: [{name: a, rules: [{alert: b, expr: c, fro: 5m}]}]")
    with pytest.raises(AssertionError, match="fro"):
        asked_for(str(wrong))


def test_nothing_of_it_is_made_unless_asked_for(chart: Chart) -> None:
    kinds = {o["kind"] for o in chart()}
    assert not kinds & {"PodMonitor", "PrometheusRule", "ConfigMap"}


def test_monitors_rules_and_dashboard(chart: Chart) -> None:
    parts = ("podMonitors", "rules", "dashboard")
    values = [f"monitoring.{part}.enabled=true" for part in parts]
    objects = chart(*values, "monitoring.podMonitors.labels.release=prometheus")
    made = {(o["kind"], o["metadata"]["name"]): o for o in objects}
    rules = made["PrometheusRule", "codesession"]["spec"]
    assert rules == yaml.safe_load((FILES / "rules.yaml").read_text())
    dashboard = made["ConfigMap", "codesession-dashboard"]["data"]["codesession.json"]
    assert json.loads(dashboard) == json.loads((FILES / "dashboard.json").read_text())
    for component in ("api", "operator"):
        monitor = made["PodMonitor", f"codesession-{component}"]
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        pod = made["Deployment", f"codesession-{component}"]["spec"]["template"]
        selected = monitor["spec"]["selector"]["matchLabels"].items()
        assert selected <= pod["metadata"]["labels"].items()
        ports = [port["name"] for port in pod["spec"]["containers"][0]["ports"]]
        assert monitor["spec"]["podMetricsEndpoints"][0]["port"] in ports


def test_metrics_are_for_those_who_are_named_and_on_no_service(chart: Chart) -> None:
    peer = "networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus"
    for given in ((), (peer,)):
        made = {(o["kind"], o["metadata"]["name"]): o for o in chart(*given)}
        ports = [port["targetPort"] for port in made["Service", "codesession-api"]["spec"]["ports"]]
        assert ports == ["http"]
        for component in ("api", "operator"):
            ingress = made["NetworkPolicy", f"codesession-{component}"]["spec"].get("ingress", [])
            opened = [port["port"] for rule in ingress for port in rule["ports"]]
            assert ({"metrics", "health"} & {*opened} != set()) == bool(given)
