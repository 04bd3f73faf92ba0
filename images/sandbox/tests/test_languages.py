"""Every language of the client's menu, with a real runner, as far as this machine has its compiler.

In the image all are there; elsewhere a language that is absent is skipped by its name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from codesession_runner.languages import KNOWN, NAMES
from runner_testing import Answer, Client, RunnerProcess, connected, running
from sandbox_programs import BROKEN, PROGRAMS

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def all_runner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunnerProcess]:
    directory = tmp_path_factory.mktemp("all")
    if shutil.which("go"):
        _fill_go_cache(tmp_path_factory.mktemp("go"))
    variables = ("env", f"PATH={_path()}", f"GOCACHE={Path.home() / '.cache/go-build'}")
    async with running(directory, languages=",".join(NAMES), prefix=variables, ready_children=1) as runner:
        yield runner


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def polyglot(all_runner: RunnerProcess) -> AsyncIterator[Client]:
    async with connected(all_runner) as client:
        yield client


def _fill_go_cache(directory: Path) -> None:
    """Have the standard library compiled, as it is in the image: a run has not the time for that."""
    (directory / "main.go").write_text(PROGRAMS["go"])
    go = next(language for language in KNOWN if language.name == "go")
    command = go.commands(b"").compile
    subprocess.run(command, cwd=directory, env={**os.environ, **go.environment}, check=True)


def _path() -> str:
    """With the compiler in place of rustup's proxy, which looks for it below a HOME that runs do not have."""
    proxy, directories = shutil.which("rustup"), os.environ["PATH"].split(":")
    if proxy:
        directories = [directory for directory in directories if Path(directory) != Path(proxy).parent]
        root = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True)
        if root.returncode == 0:  # it has a toolchain
            directories.insert(0, f"{root.stdout.strip()}/bin")
    return ":".join(directories)


async def run(client: Client, lang: str, code: str, *args: str, **options: int) -> Answer:
    if lang not in client.hello["languages"]:
        pytest.skip(f"{lang}: this machine has no compiler or interpreter for it")
    return await client.run(code, *args, lang=lang, **options)


@pytest.mark.parametrize("lang", PROGRAMS)
async def test_a_program_has_arguments_and_an_exit_code_and_runs_in_the_workspace(
    polyglot: Client, lang: str
) -> None:
    answer = await run(polyglot, lang, PROGRAMS[lang], "a", "ü-ñ")
    assert (answer.stdout.decode(), answer.end["outcome"], answer.end["exit_code"]) == (
        "é a ü-ñ\n0\n",
        "exit",
        3,
    ), answer.stderr.decode()
    assert [(record["path"], record["size"]) for record in answer.records] == [("out.txt", 3)]
    await polyglot.run("import os; os.remove('out.txt')")


@pytest.mark.parametrize("lang", BROKEN)
async def test_what_the_compiler_says_is_in_stderr(polyglot: Client, lang: str) -> None:
    answer = await run(polyglot, lang, BROKEN[lang])
    text = answer.stderr.decode()
    assert answer.end["outcome"] == "exit"
    assert answer.end["exit_code"] != 0
    assert (answer.stdout, answer.records) == (b"", [])
    assert f".{lang}:1" in text or "missing" in text
    assert "/tmp/run-" not in text


@pytest.mark.parametrize(
    ("lang", "code", "wanted"),
    [
        ("js", "import fs from 'fs'; console.log(await Promise.resolve(typeof fs))", b"object\n"),
        ("js", "if (require.main === module) console.log(require('./given.json').x)", b"5\n"),
        ("js", "import { x } from './given.mjs'; console.log(x)", b"5\n"),
        ("ts", "const x: number = require('./given.json').x; console.log(x)", b"5\n"),
        ("c", '#include <stdio.h>\n#include "given.h"\nint main() { printf("%d", X); }', b"5"),
        ("cpp", '#include <iostream>\n#include "given.h"\nint main() { std::cout << X; }', b"5"),
        ("php", "<?php include 'given.php'; echo $x;", b"5"),
        ("r", 'source("given.R"); cat(x)', b"5"),
        ("bash", ". ./given.sh; echo $x", b"5\n"),
    ],
)
async def test_files_of_the_workspace_can_be_part_of_the_program(
    polyglot: Client, lang: str, code: str, wanted: bytes
) -> None:
    given = {
        "given.json": '{"x": 5}',
        "given.mjs": "export const x = 5",
        "given.h": "#define X 5",
        "given.php": "<?php $x = 5;",
        "given.R": "x <- 5",
        "given.sh": "x=5",
    }
    for path, text in given.items():
        await polyglot.request({"op": "put", "path": path, "tag": ""}, text.encode())
    answer = await run(polyglot, lang, code)
    assert (answer.stdout, answer.end["exit_code"]) == (wanted, 0), answer.stderr.decode()
    assert answer.records == []


@pytest.mark.parametrize(
    ("lang", "code", "said"),
    [
        ("js", "throw new Error('gone wrong')", "gone wrong"),
        ("ts", "let x: number = 1;\nthrow new Error('gone wrong')", "main.ts:2"),
        ("php", "<?php throw new Exception('gone wrong');", "gone wrong"),
        (
            "java",
            'class A { public static void main(String[] a) { throw new Error("gone wrong"); } }',
            "gone wrong",
        ),
        ("rs", 'fn main() { panic!("gone wrong") }', "gone wrong"),
        ("go", 'package main\nfunc main() { panic("gone wrong") }', "gone wrong"),
        ("d", 'void main() { throw new Exception("gone wrong"); }', "gone wrong"),
        ("f90", "program p\n  error stop 'gone wrong'\nend program", "gone wrong"),
        ("r", 'stop("gone wrong")', "gone wrong"),
    ],
)
async def test_an_exception_is_in_stderr(polyglot: Client, lang: str, code: str, said: str) -> None:
    answer = await run(polyglot, lang, code)
    assert (answer.end["outcome"], answer.stdout) == ("exit", b"")
    assert answer.end["exit_code"] != 0
    assert said in answer.stderr.decode()


async def test_a_signal_of_a_compiled_program_is_its_own(polyglot: Client) -> None:
    answer = await run(polyglot, "c", "#include <stdlib.h>\nint main(void) { abort(); }")
    assert (answer.end["outcome"], answer.end["signal"]) == ("signal", 6)


async def test_time_is_for_compiler_and_program_together(polyglot: Client) -> None:
    await polyglot.run("mkfifo endless.h", lang="bash")
    answer = await run(polyglot, "c", '#include "endless.h"\nint main(void) {}', timeout_ms=500)
    assert (answer.end["outcome"], answer.end["wall_ms"] >= 500) == ("timeout", True)
    await polyglot.run("rm endless.h", lang="bash")


async def test_files_called_main_are_left_alone(polyglot: Client) -> None:
    for path in ("main.js", "main", "main.c"):
        await polyglot.request({"op": "put", "path": path, "tag": ""}, b"mine")
    for lang, code in [
        ("ts", "console.log(1 as number)"),
        ("js", "console.log(1)"),
        ("c", "int main(void) {}"),
    ]:
        if lang in polyglot.hello["languages"]:
            assert (await polyglot.run(code, lang=lang)).records == []
    await polyglot.run("rm main.js main main.c", lang="bash")


async def test_nothing_of_a_compiled_run_stays(polyglot: Client) -> None:
    answer = await run(polyglot, "c", "#include <stdio.h>\nint main(int c, char **v) { puts(v[0]); }")
    program = answer.stdout.decode().strip()
    assert program.endswith("/main")
    code = "import os, sys, time\nwhile os.path.exists(sys.argv[1]): time.sleep(0.01)"
    assert (await polyglot.run(code, str(Path(program).parent))).end["exit_code"] == 0
