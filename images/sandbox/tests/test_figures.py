"""Figures that are shown or left open become files: each once, and under a name of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from runner_testing import Client, connected, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

PYTHON = str(Path(__file__).resolve().parents[3] / ".sandbox-venv/bin/python")
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plotter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    directory, preload = tmp_path_factory.mktemp("plots"), "numpy,matplotlib.pyplot"
    async with running(directory, python=PYTHON, preload=preload) as runner, connected(runner) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def client(plotter: Client) -> Client:
    """With an empty workspace, and no figure open in the live interpreter."""
    await plotter.run("import os, sys; os.chdir(sys.path[0])", live=True)
    await plotter.run("import matplotlib.pyplot as plt; plt.close('all')", live=True)
    await plotter.run("rm -rf ./*", lang="bash")
    return plotter


FILES = {
    "left open": (PLOT, ["figure-1.png"]),
    "shown": (PLOT + "plt.show()", ["figure-1.png"]),
    "shown and closed": (PLOT + "plt.show(); plt.close('all')", ["figure-1.png"]),
    "closed": (PLOT + "plt.close()", []),
    "saved": (PLOT + "plt.savefig('mine.png', dpi=50)", ["mine.png"]),
    "saved and shown": (PLOT + "plt.savefig('mine.png'); plt.show()", ["mine.png"]),
    "saved by its own method": (PLOT + "plt.gcf().savefig('mine.pdf')", ["mine.pdf"]),
    "changed since": (PLOT + "plt.savefig('mine.png'); plt.title('t')", ["figure-1.png", "mine.png"]),
    "drawn only": (PLOT + "plt.gcf().canvas.draw(); plt.tight_layout()", ["figure-1.png"]),
    "two": (PLOT + "plt.figure(); plt.plot([1])", ["figure-1.png", "figure-2.png"]),
    "one after another": (PLOT + "plt.show(); plt.plot([1]); plt.show()", ["figure-1.png", "figure-2.png"]),
    "names that are taken": (
        PLOT + "open('figure-1.png', 'w').write('mine')",
        ["figure-1.png", "figure-2.png"],
    ),
    "empty": ("import matplotlib.pyplot as plt\nplt.figure()", []),
    "imported only": ("import matplotlib.pyplot", []),
    "in another directory": (PLOT + "import os; os.chdir('/')", ["figure-1.png"]),
    "before an exit": (PLOT + "raise SystemExit", ["figure-1.png"]),
    "of a forked process too": (PLOT + "import os\nif os.fork(): os.wait()", ["figure-1.png"]),
}


@pytest.mark.parametrize("live", [False, True], ids=["fresh", "live"])
@pytest.mark.parametrize("name", FILES)
async def test_figures_become_files(client: Client, name: str, live: bool) -> None:
    code, expected = FILES[name]
    answer = await client.run(code, live=live)
    assert (answer.end["exit_code"], answer.stdout, answer.stderr) == (0, b"", b""), answer
    assert [record["path"] for record in answer.records] == expected


async def test_pyplot_need_not_be_imported_ahead(tmp_path: Path) -> None:
    async with running(tmp_path, python=PYTHON) as runner, connected(runner) as client:
        for name in ("one after another", "saved and shown", "changed since"):
            code, expected = FILES[name]
            answer = await client.run(code)
            assert (answer.end["exit_code"], answer.stderr) == (0, b""), answer
            assert [record["path"] for record in answer.records] == expected
            await client.run("rm *", lang="bash")


async def test_the_file_is_a_picture_and_what_was_there_stays(client: Client) -> None:
    await client.run(PLOT + "open('figure-1.png', 'w').write('mine')")
    assert (await client.request({"op": "get", "path": "figure-1.png", "tag": ""})).data == b"mine"
    made = await client.request({"op": "get", "path": "figure-2.png", "tag": ""})
    assert made.data.startswith(b"\x89PNG\r\n\x1a\n")


async def test_a_live_figure_stays_open_and_comes_again_when_it_changes(client: Client) -> None:
    steps = [
        (PLOT, ["figure-1.png"]),
        ("x = 1", []),
        ("print(len(plt.get_fignums()))", []),
        ("plt.title('t')", ["figure-2.png"]),
        ("plt.gca().lines[0].set_color('red')", ["figure-3.png"]),
        ("plt.savefig('mine.png')", ["mine.png"]),
        ("plt.show()", []),
        ("assert not plt.get_fignums()", []),
    ]
    for code, expected in steps:
        answer = await client.run(code, live=True)
        assert (answer.end["exit_code"], answer.stderr) == (0, b""), answer
        assert [record["path"] for record in answer.records] == expected, code


async def test_a_figure_that_cannot_be_drawn_fails_no_run(client: Client) -> None:
    answer = await client.run(PLOT + "plt.title('$\\\\nonsense{$'); print('ran')")
    assert (answer.stdout, answer.end["exit_code"], answer.records) == (b"ran\n", 0, [])
    assert answer.stderr.startswith(b"figure 1 was not saved: ")


async def test_drawing_counts_in_the_time_of_the_run(client: Client) -> None:
    code = PLOT + "import time; plt.gcf().canvas.print_figure = lambda *a, **o: time.sleep(600)"
    answer = await client.run(code, timeout_ms=3000)
    assert (answer.end["outcome"], answer.records) == ("timeout", [])
