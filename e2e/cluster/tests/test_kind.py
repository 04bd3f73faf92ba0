from __future__ import annotations

import tomllib

import yaml

from e2e.cluster import kind


def test_a_patch_for_either_version_of_the_nodes_containerd() -> None:
    patches = [tomllib.loads(patch) for patch in yaml.safe_load(kind.CONFIG)["containerdConfigPatches"]]
    sections = {2: ("io.containerd.grpc.v1.cri",), 3: ("io.containerd.cri.v1.runtime",)}
    assert [patch["version"] for patch in patches] == [2, 3]
    for patch in patches:
        (section,) = sections[patch["version"]]
        runtime = patch["plugins"][section]["containerd"]["runtimes"]["runsc"]
        assert runtime["runtime_type"] == "io.containerd.runsc.v1"


def test_gvisor_names_control_groups_as_the_kubelet_of_a_kind_node_does() -> None:
    assert tomllib.loads(kind.RUNSC)["runsc_config"] == {"platform": "systrap", "systemd-cgroup": "true"}
