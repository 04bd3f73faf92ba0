"""The chart against a real API server: it accepts every object, and each account may do its work alone."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from charts.tests.applied import as_account, guarded_namespace, rendered
from e2e.targets import kubectl

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
ALLOWED: dict[str, dict[str, str]] = {
    "operator": {
        "codesession.dev:codesessions": "get list watch create delete",
        "codesession.dev:codesessions/status": "patch",
        "codesession.dev:codeenvironments": "get list watch",
        "codesession.dev:codeenvironments/status": "patch",
        "pods": "get list watch create delete",
        "persistentvolumeclaims": "get list watch create delete",
        "networking.k8s.io:networkpolicies": "get list watch create patch",
        "resourcequotas": "create patch",
        "limitranges": "create patch",
        "events": "create",
    },
    "api": {
        "codesession.dev:codesessions": "get list watch create patch delete",
        "codesession.dev:codeenvironments": "get list watch",
        "pods": "get",
        "pods/exec": "get create",
    },
}
"""Verbs by `group:resource/subresource`, in the sandboxes' namespace; of all else, and elsewhere, nothing."""
RESOURCES = sorted(
    {
        *itertools.chain.from_iterable(ALLOWED.values()),
        "codesession.dev:codesessions/finalizers",
        *("pods/" + part for part in ("attach", "binding", "ephemeralcontainers", "eviction", "log")),
        *("pods/" + part for part in ("portforward", "proxy", "resize", "status")),
        *("configmaps", "secrets", "serviceaccounts", "serviceaccounts/token", "services", "endpoints"),
        *("namespaces", "nodes", "nodes/proxy", "persistentvolumes"),
        *("apps:deployments", "apps:daemonsets", "batch:jobs"),
        *("rbac.authorization.k8s.io:roles", "rbac.authorization.k8s.io:rolebindings"),
        "admissionregistration.k8s.io:validatingadmissionpolicies",
        "admissionregistration.k8s.io:validatingadmissionpolicybindings",
        "apiextensions.k8s.io:customresourcedefinitions",
    }
)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with guarded_namespace() as name:
        yield name


def test_the_api_server_accepts_everything(namespace: str) -> None:
    done = kubectl.run("apply", "--dry-run=server", "-f", "-", stdin=rendered(namespace))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def review(account: str, resource: str, verb: str, namespace: str) -> dict[str, Any]:
    """What `kubectl auth can-i` asks the API server."""
    group, _, rest = resource.rpartition(":")
    name, _, subresource = rest.partition("/")
    attributes = {"group": group, "resource": name, "subresource": subresource, "verb": verb}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": account,
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": attributes | {"namespace": namespace},
        },
    }


@pytest.mark.parametrize("account", ALLOWED)
@pytest.mark.parametrize("own", [True, False], ids=["among the sandboxes", "elsewhere"])
def test_an_account_may_do_that_and_no_more(namespace: str, account: str, own: bool) -> None:
    user, where = as_account(namespace, account)[1], namespace if own else "default"
    asked = list(itertools.product(RESOURCES, VERBS))
    reviews = [review(user, resource, verb, where) for resource, verb in asked]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": reviews})
    one_per_line = 'jsonpath={.status.allowed}{"\\n"}'
    answers = kubectl.out("create", "-o", one_per_line, "-f", "-", stdin=listed).splitlines()
    allowed = {what for what, answer in zip(asked, answers, strict=True) if answer == "true"}
    expected = ALLOWED[account].items() if own else ()
    assert allowed == {(resource, verb) for resource, verbs in expected for verb in verbs.split()}
