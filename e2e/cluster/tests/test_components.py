from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.cluster import build, components
from e2e.cluster.components import Component, all_components
from e2e.cluster.errors import ClusterError

EVERY = [*all_components(), *(components.named(name) for name in ("kwok", "actionlint", "compose"))]


class Probe(Component):
    """A component whose module is wherever the test put it."""

    where: Path

    @property
    def folder(self) -> Path:
        return type(self).where


@pytest.fixture
def probe(tmp_path: Path) -> Component:
    Probe.where = tmp_path / "module"
    Probe.where.mkdir()
    (Probe.where / "go.mod").write_text("module probe\n")
    (Probe.where / "go.sum").write_text("one\n")
    return Probe("probe", {"probe": "probe"})


@pytest.mark.parametrize("component", EVERY, ids=lambda component: component.name)
def test_every_module_is_pinned(component: Component) -> None:
    module = (component.folder / "go.mod").read_text()
    assert module.startswith(f"module codesession.dev/e2e/cluster/{component.name}\n")
    assert (component.folder / "go.sum").exists()


@pytest.mark.parametrize("component", EVERY, ids=lambda component: component.name)
def test_tools_go_imports_what_is_built(component: Component) -> None:
    tools = component.folder / "tools.go"
    imports = set(re.findall(r'_ "([^"]+)"', tools.read_text())) if tools.exists() else {None}
    own = {f"codesession.dev/e2e/cluster/{component.name}"}
    assert imports == set(component.binaries.values()) or set(component.binaries.values()) == own


def test_the_stamped_version_is_the_pinned_one() -> None:
    module = (components.named("kubernetes").folder / "go.mod").read_text()
    assert f"require k8s.io/kubernetes {components.KUBERNETES_VERSION}\n" in module


def test_a_binary_is_known_by_its_name() -> None:
    assert components.providing("ctr").name == "containerd"
    with pytest.raises(ClusterError, match="no component provides nothing"):
        components.providing("nothing")


def test_the_same_recipe_has_the_same_key(probe: Component) -> None:
    assert build.key(probe, "go1") == build.key(probe, "go1")


@pytest.mark.parametrize("change", ["go", "sum", "mod", "source", "flags", "patch"])
def test_what_could_change_the_result_changes_the_key(probe: Component, change: str) -> None:
    before, go = build.key(probe, "go1"), "go1"
    match change:
        case "go":
            go = "go2"
        case "sum" | "mod":
            (probe.folder / f"go.{change}").write_text("two\n")
        case "source":
            (probe.folder / "main.go").write_text("package main\n")
        case "flags":
            probe = replace(probe, ldflags="")
        case "patch":
            probe = replace(probe, patches=(components.Patch("file", "old", "new"),))
    assert build.key(probe, go) != before


def test_the_shim_is_patched_only_where_a_capability_is_missing() -> None:
    assert components.gvisor(may_set_oom_score=True).patches == ()
    (patch,) = components.gvisor(may_set_oom_score=False).patches
    assert "os.IsPermission" in patch.new


def test_what_is_built_is_not_built_again(probe: Component, tmp_path: Path) -> None:
    built = tmp_path / f"probe-{build.key(probe, build.go_version())}"
    built.mkdir()
    assert build.component(probe, tmp_path) == built
