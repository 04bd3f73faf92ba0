from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from e2e.cluster.errors import ClusterError
from e2e.cluster.instance import Instance, choose_network, instance_id


def networks(*texts: str) -> list[ipaddress.IPv4Network]:
    return [ipaddress.IPv4Network(text) for text in texts]


def test_two_checkouts_share_no_name() -> None:
    one = Instance(instance_id(Path("/work/one")), *networks("10.200.1.0/24"))
    two = Instance(instance_id(Path("/work/two")), *networks("10.200.2.0/24"))
    for attribute in ("id", "name", "state", "host_link", "node_link", "cluster"):
        assert getattr(one, attribute) != getattr(two, attribute)


def test_a_link_into_a_checkout_is_that_checkout(tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    (tmp_path / "link").symlink_to("checkout")
    assert instance_id(tmp_path / "link") == instance_id(tmp_path / "checkout")


def test_the_kernel_takes_the_names_of_the_links() -> None:
    instance = Instance(instance_id(Path("/")), *networks("10.200.1.0/24"))
    assert len(instance.host_link) <= 15
    assert instance.host_link != instance.node_link


@pytest.mark.parametrize(
    ("id_", "taken", "chosen"),
    [
        ("000000", [], "10.200.1.0/24"),
        ("000001", [], "10.200.2.0/24"),
        ("0000f9", [], "10.200.1.0/24"),
        ("000000", ["10.200.1.0/24"], "10.200.2.0/24"),
        ("000000", ["10.200.1.7/32", "10.200.2.0/30"], "10.200.3.0/24"),
        ("0000f8", ["10.200.249.0/24"], "10.200.1.0/24"),
        ("000000", ["10.200.0.0/17", "192.0.2.0/24"], "10.200.128.0/24"),
    ],
)
def test_the_first_free_network_from_the_checkouts_own_on(id_: str, taken: list[str], chosen: str) -> None:
    assert choose_network(id_, networks(*taken)) == ipaddress.IPv4Network(chosen)


def test_no_network_is_left() -> None:
    with pytest.raises(ClusterError, match="taken"):
        choose_network("000000", networks("10.0.0.0/8"))
