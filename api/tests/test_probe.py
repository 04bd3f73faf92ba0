"""The command against installations that are as a test says (`probed`): every probe can hold and break."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable

import pytest

from codesession_api.cli import main
from codesession_api.probe import cli, report
from codesession_api.probe.finding import Finding, held
from codesession_api.probe.lab import opened
from codesession_api.probe.rows.privileges import Privileges
from codesession_api.probe.suite import Probe, Verdict, status, verdicts
from probed import OPEN, SOUND, Installation, installation

ALL = [probe.id for probe in cli.PROBES]


def probed(server: Installation, *more: str) -> int:
    return main(["probe", "--base-url", server.base, "--key", "alice", *more])


def results(output: str) -> dict[str, str]:
    return {entry["id"]: entry["result"] for entry in json.loads(output)}


def test_where_every_wall_stands_every_probe_holds(capsys: pytest.CaptureFixture[str]) -> None:
    with installation() as server:
        assert probed(server, "--other-key", "bob", "--json") == 0
    assert results(capsys.readouterr().out) == dict.fromkeys(ALL, "held")


def test_where_no_wall_stands_every_probe_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    with installation(OPEN, walls=False, isolation="none") as server:
        assert probed(server, "--other-key", "bob", "--json") == 1
    assert results(capsys.readouterr().out) == dict.fromkeys(ALL, "broken")


def test_the_report_is_a_line_for_each_probe(capsys: pytest.CaptureFixture[str]) -> None:
    with installation(SOUND | {"runner": OPEN["runner"]}) as server:
        assert probed(server) == 1
        assert {path.rpartition("/")[2] for path in server.ended} == {"s" * 21}
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()] == ALL
    (line,) = [line for line in captured.out.splitlines() if line.startswith("R-2")]
    assert line.endswith("broken: it may trace process 1")
    wanted = f"{len(ALL) - 5} held, 4 broken, 1 cannot be told; broken: R-1, R-2, R-3, R-4\n"
    assert captured.err == wanted


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"stdout": 7, "session_id": "a"}',
        b'{"stdout": "", "session_id": "../../etc"}',
        b'{"stdout": "", "session_id": ""}',
        b"[" * 100_000,
        b" " * (33 << 20),
    ],
    ids=lambda says: str(says[:30]),
)
def test_where_nothing_sensible_is_said_nothing_can_be_told(
    says: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with installation(says=says or b" ") as server:
        assert probed(server) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "alice" not in captured.err


def test_nobody_at_that_address_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with installation() as server:
        base = server.base
    assert main(["probe", "--base-url", base]) == 2
    assert f"codesession probe: {base}: " in capsys.readouterr().err


async def test_a_program_that_tells_nothing_is_no_word_about_the_installation() -> None:
    """Its probes could not run; the others say what they have to."""
    with installation(SOUND | {"files": {"mounts": []}}) as server:
        async with opened(server.base, ["alice"]) as lab:
            found = [verdict async for verdict in verdicts(lab, cli.PROBES)]
    unmade = [verdict.probe.id for verdict in found if not verdict.ran]
    assert unmade == ["F-1", "F-2", "F-3", "F-4", "F-5", "F-6", "E-1"]
    assert status(found) == 2
    assert report.summary(found).endswith(f"could not run: {', '.join(unmade)}")


@pytest.mark.parametrize(
    ("ends", "wanted"),
    [
        ([], 2),
        ([("held", True)], 0),
        ([("held", True), ("cannot be told", True)], 0),
        ([("held", True), ("cannot be told", False)], 2),
        ([("broken", True), ("cannot be told", False)], 1),
    ],
)
def test_the_exit_status(ends: Iterable[tuple[str, bool]], wanted: int) -> None:
    async def none(lab: object) -> Privileges:
        raise AssertionError

    probe = Probe("X-1", "some", none, lambda seen: held(""))
    found = [Verdict(probe, Finding(result, ""), 0, ran) for result, ran in ends]  # type: ignore[arg-type]
    assert status(found) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("tcp:10.0.0.7:6443", ("tcp", "10.0.0.7", 6443)),
        ("udp:10.96.0.10:53", ("udp", "10.96.0.10", 53)),
        ("icmp:10.0.0.7", ("icmp", "10.0.0.7", 0)),
        ("tcp:[fd00::7]:443", ("tcp", "fd00::7", 443)),
        ("tcp:10.0.0.7", None),
        ("tcp:10.0.0.7:99999", None),
        ("tcp:300.0.0.7:80", None),
        ("tcp:example.com:443", None),
        ("http:10.0.0.7:80", None),
    ],
)
def test_an_address_to_try(text: str, wanted: tuple[str, str, int] | None) -> None:
    if wanted:
        assert cli.address(text) == wanted
    else:
        with pytest.raises(argparse.ArgumentTypeError):
            cli.address(text)
