"""Both clients against the embedded default."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from asking import Ask
from codesession import AsyncClient, Client, End, NotFoundError, Stdout, UnauthorizedError
from e2e.targets import Target

pytestmark = pytest.mark.sandbox

PLOT = """
import matplotlib.pyplot as plt, pandas as pd
pd.read_csv("in.csv").plot()
plt.savefig("plot.png")
print("drawn")
"""


async def test_a_file_goes_in_and_a_plot_comes_out(ask: Ask, server: Target, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a,b\n1,2\n3,4\n")
    result = await ask(server, "execute", PLOT, files=[tmp_path / "in.csv"])
    assert (result.stdout, result.exit_code, result.ok) == ("drawn\n", 0, True), result.stderr
    [plot] = [file for file in result.files if not file.inherited]
    path = await ask(server, "download", plot, tmp_path / "out")
    assert path == tmp_path / "out/plot.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert await ask(server, "read", plot) == path.read_bytes()
    listed = await ask(server, "files", result.session_id)
    assert {file.name for file in listed} == {"in.csv", "plot.png"}
    assert all(file.size and file.modified and file.content_type for file in listed)


async def test_calls_that_name_a_session_share_it_until_it_is_deleted(ask: Ask, server: Target) -> None:
    session = await ask(server, "open_session")
    await ask(server, "execute", "x = 41", session=session)
    assert (await ask(server, "execute", "print(x + 1)", session=session)).stdout == "42\n"
    await ask(server, "delete", session)
    with pytest.raises(NotFoundError):
        await ask(server, "delete", session)


async def test_an_upload_is_there_as_it_was_until_it_is_deleted(ask: Ask, server: Target) -> None:
    content = bytes(range(256)) * 5000
    file = await ask(server, "upload", content, 'Über "50 %".bin')
    assert await ask(server, "read", file) == content
    result = await ask(server, "execute", "import os; print(os.listdir())", files=[file])
    assert 'Über "50 %".bin' in result.stdout
    await ask(server, "delete", file)
    with pytest.raises(NotFoundError):
        await ask(server, "read", file)


async def test_what_a_program_does_wrong_is_a_result(ask: Ask, server: Target) -> None:
    failed = await ask(server, "execute", "raise SystemExit(3)")
    assert (failed.exit_code, failed.ok) == (3, False)
    late = await ask(server, "execute", "while True: pass", seconds=0.5)
    assert (late.exit_code, late.status) == (None, "TO")
    unknown = await ask(server, "execute", "1", "cobol")
    assert not unknown.ok
    assert "cobol" in unknown.stderr


async def test_a_stream_ends_with_what_a_plain_run_answers(ask: Ask, server: Target) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); open('f', 'w').write('x'); sys.exit(5)"
    plain = await ask(server, "execute", code)
    *events, last = await ask(server, "stream", code)
    assert isinstance(last, End)
    assert last.result.stdout == plain.stdout == "".join(e.text for e in events if isinstance(e, Stdout))
    assert (last.result.stderr, last.result.exit_code) == (plain.stderr, 5)
    assert [file.name for file in last.result.files] == ["f"]


ENDLESS = "import time; print('begun', flush=True); time.sleep(100)"


def test_a_stream_that_is_left_cancels_its_run(server: Target) -> None:
    """Otherwise the next run of the session would wait for the end of this one."""
    with Client(server.url, server.key) as client:
        session = client.open_session()
        with client.stream(ENDLESS, session=session, seconds=100) as events:
            assert next(events) == Stdout("begun\n")
        assert client.execute("print(1)", session=session).stdout == "1\n"


async def test_an_asynchronous_stream_that_is_left_cancels_its_run(server: Target) -> None:
    async with AsyncClient(server.url, server.key) as client:
        session = await client.open_session()
        async with client.stream(ENDLESS, session=session, seconds=100) as events:
            assert await anext(events) == Stdout("begun\n")
        assert (await client.execute("print(1)", session=session)).stdout == "1\n"


async def test_a_live_session_is_listed_until_it_is_deleted(ask: Ask, server: Target) -> None:
    session = await ask(server, "open_session")
    [found] = [one for one in await ask(server, "sessions") if one.session_id == session]
    assert found.since < found.ends
    await ask(server, "delete", session)
    assert session not in [one.session_id for one in await ask(server, "sessions")]


async def test_another_tenants_session_is_not_there(ask: Ask, server: Target) -> None:
    session = await ask(server, "open_session")
    other = Target("other", server.url, server.keys[1:])
    with pytest.raises(NotFoundError):
        await ask(other, "delete", session)
    with pytest.raises(UnauthorizedError):
        await ask(Target("nobody", server.url), "files", session)


async def test_one_client_runs_many_programs_at_one_time(server: Target) -> None:
    async with AsyncClient(server.url, server.key) as client:
        sums = [client.execute(f"print(sum(range({n})))") for n in range(4)]
        assert [result.stdout for result in await asyncio.gather(*sums)] == ["0\n", "0\n", "1\n", "3\n"]
