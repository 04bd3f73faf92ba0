"""From resources to the manifests of their children: pure functions, dicts out."""
