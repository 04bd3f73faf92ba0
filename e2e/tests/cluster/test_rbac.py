"""What the two service accounts may do, as the API server says."""

from __future__ import annotations

import pytest

from e2e.targets import Target, kubectl, release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

SESSIONS = "codesessions.codesession.dev"


@pytest.mark.parametrize(
    ("account", "verb", "what", "namespace", "allowed"),
    [
        ("api", "create", "pods/exec", release.SANDBOXES, True),
        ("api", "patch", SESSIONS, release.SANDBOXES, True),
        ("api", "delete", SESSIONS, release.SANDBOXES, True),
        ("api", "create", "pods", release.SANDBOXES, False),
        ("api", "patch", "pods", release.SANDBOXES, False),
        ("api", "create", "persistentvolumeclaims", release.SANDBOXES, False),
        ("api", "patch", f"{SESSIONS}/status", release.SANDBOXES, False),
        ("api", "patch", "codeenvironments.codesession.dev", release.SANDBOXES, False),
        ("api", "get", "secrets", release.SANDBOXES, False),
        ("api", "get", "secrets", release.NAMESPACE, False),
        ("api", "create", "pods/exec", release.NAMESPACE, False),
        ("api", "create", "pods/exec", "kube-system", False),
        ("api", "create", "serviceaccounts/token", release.NAMESPACE, False),
        ("operator", "create", "pods", release.SANDBOXES, True),
        ("operator", "patch", f"{SESSIONS}/status", release.SANDBOXES, True),
        ("operator", "create", "pods/exec", release.SANDBOXES, False),
        ("operator", "get", "pods/exec", release.SANDBOXES, False),
        ("operator", "create", "pods/attach", release.SANDBOXES, False),
        ("operator", "create", "pods/portforward", release.SANDBOXES, False),
        ("operator", "get", "secrets", release.SANDBOXES, False),
        ("operator", "get", "secrets", release.NAMESPACE, False),
        ("operator", "create", "pods", release.NAMESPACE, False),
        ("operator", "create", "pods", "kube-system", False),
        ("operator", "create", "rolebindings.rbac.authorization.k8s.io", release.SANDBOXES, False),
        ("operator", "create", "serviceaccounts/token", release.NAMESPACE, False),
    ],
)
def test_an_account_may(
    chart_release: Target, account: str, verb: str, what: str, namespace: str, allowed: bool
) -> None:
    resource, _, subresource = what.partition("/")
    options = ["--subresource", subresource] if subresource else []
    answer = kubectl.run(
        "auth", "can-i", verb, resource, *options, "-n", namespace, "--as", release.account(account)
    )
    assert answer.stdout.strip() == ("yes" if allowed else "no"), answer.stderr
