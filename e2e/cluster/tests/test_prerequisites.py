from __future__ import annotations

from pathlib import Path

import pytest

from e2e.cluster import packages
from e2e.cluster.errors import ClusterError


def test_what_cannot_be_installed_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ClusterError) as caught:
        packages.ensure()
    assert str(caught.value).startswith("missing on this machine: runc, iptables")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "there"), [(b"\x7fELF static", True), (b"/lib64/ld-linux-x86-64.so.2", False)]
)
def test_only_a_static_busybox_will_do(
    content: bytes, there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(content)
    monkeypatch.setattr(packages, "BUSYBOX", str(busybox))
    assert packages.present(str(busybox)) is there
