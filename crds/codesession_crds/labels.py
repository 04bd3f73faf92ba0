"""The labels that this project puts on objects, and selectors made of them; spelt nowhere else."""

from __future__ import annotations

MANAGED_BY = "app.kubernetes.io/managed-by"
SESSION = "codesession.dev/session"
ENVIRONMENT = "codesession.dev/environment"
COMPONENT = "codesession.dev/component"
TEMPLATE = "codesession.dev/template"
HINT = "codesession.dev/hint"
"""On a claimed session: the hash of the name that its owner has for it."""

MANAGER = "codesession"
SANDBOX = "sandbox"
POLICY = "policy"

MANAGED_SELECTOR = f"{MANAGED_BY}={MANAGER}"
SANDBOX_SELECTOR = f"{MANAGED_SELECTOR},{COMPONENT}={SANDBOX}"
POLICY_SELECTOR = f"{MANAGED_SELECTOR},{COMPONENT}={POLICY}"


def of_sandbox(session: str, environment: str) -> dict[str, str]:
    """Labels of a session's pod and volume claim."""
    return {MANAGED_BY: MANAGER, COMPONENT: SANDBOX, SESSION: session, ENVIRONMENT: environment}


def of_policy(environment: str | None = None) -> dict[str, str]:
    """Labels of what guards sandboxes: of one environment, or of the whole namespace."""
    shared = {MANAGED_BY: MANAGER, COMPONENT: POLICY}
    return shared if environment is None else {**shared, ENVIRONMENT: environment}
