"""Thirteen languages where users have them: the image `full` on the cluster, through the API."""

from __future__ import annotations

import httpx
import pytest

from codesession_runner.languages import KNOWN, NAMES
from e2e.tests.cluster.full.sandbox import Sandbox, names
from sandbox_programs import BROKEN, PROGRAMS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

FAILING = {
    "py": "raise ValueError('gone wrong')",
    "js": "throw new Error('gone wrong')",
    "ts": "const x: number = 1; throw new Error('gone wrong')",
    "c": '#include <stdio.h>\nint main(void) { fputs("gone wrong", stderr); return 1; }',
    "cpp": '#include <stdexcept>\nint main() { throw std::runtime_error("gone wrong"); }',
    "java": 'class A { public static void main(String[] a) { throw new Error("gone wrong"); } }',
    "php": "<?php throw new Exception('gone wrong');",
    "rs": 'fn main() { panic!("gone wrong") }',
    "go": 'package main\nfunc main() { panic("gone wrong") }',
    "d": 'void main() { throw new Exception("gone wrong"); }',
    "f90": "program p\n  error stop 'gone wrong'\nend program",
    "r": 'stop("gone wrong")',
    "bash": "echo gone wrong >&2; false",
}


def test_every_language_of_the_menu_has_a_program() -> None:
    assert set(PROGRAMS) == set(FAILING) == set(NAMES)
    assert len(NAMES) == 13


@pytest.mark.parametrize("lang", PROGRAMS)
def test_a_program_has_arguments_utf_8_no_stdin_and_an_exit_code(sandbox: Sandbox, lang: str) -> None:
    answer = sandbox.run(PROGRAMS[lang], lang, args=["a", "ü-ñ"])
    assert (answer["stdout"], answer["exit_code"]) == ("é a ü-ñ\n0\n", 3), answer["stderr"]
    assert answer["stderr"].removeprefix("STOP 3\n") == "The program exited with code 3.\n"
    assert names(answer) == ["out.txt"]
    assert sandbox.content(answer, "out.txt") == b"out"
    sandbox.succeeds("rm out.txt")


@pytest.mark.parametrize("lang", BROKEN)
def test_what_the_compiler_says_is_in_stderr(sandbox: Sandbox, lang: str) -> None:
    answer = sandbox.run(BROKEN[lang], lang)
    assert answer["exit_code"] != 0
    assert (answer["stdout"], names(answer)) == ("", [])
    assert f".{lang}:1" in answer["stderr"] or "missing" in answer["stderr"]


@pytest.mark.parametrize("lang", FAILING)
def test_a_program_that_fails_says_so_in_stderr(sandbox: Sandbox, lang: str) -> None:
    answer = sandbox.run(FAILING[lang], lang)
    assert answer["exit_code"] != 0 if "exit_code" in answer else answer["signal"] == "SIGABRT"
    assert "gone wrong" in answer["stderr"]
    assert answer["stdout"] == ""


def test_the_api_offers_no_other_language(full_http: httpx.Client) -> None:
    answer = full_http.post("/exec", json={"lang": "cobol", "code": "x"})
    said = answer.json()
    assert answer.status_code in (200, 400)
    assert "cobol" in str(said)


def test_go_finds_the_standard_library_compiled(sandbox: Sandbox) -> None:
    stale = "go list -f '{{.Stale}} {{.StaleReason}}' fmt net/http encoding/json"
    assert sandbox.succeeds(f"CGO_ENABLED=0 {stale}")["stdout"].split() == ["false"] * 3


@pytest.mark.parametrize("header", ["iostream", "bits/stdc++.h"])
def test_cpp_finds_headers_compiled(sandbox: Sandbox, header: str) -> None:
    """With the options of the language, which are those that it was compiled with."""
    (language,) = [each for each in KNOWN if each.name == "cpp"]
    command = " ".join(language.commands(b"").at("/tmp", "/mnt/data").compile)
    program = f"#include <{header}>\\nint main() {{}}\\n"
    code = f"cd /tmp; printf '{program}' > main.cpp; {command} -H -Winvalid-pch"
    assert f"! /opt/codesession/headers/{header}.gch" in sandbox.run(code)["stderr"]


def test_javac_finds_its_classes_linked(sandbox: Sandbox) -> None:
    code = "cd /tmp; echo 'class A {}' > A.java; javac -J-XX:+UseSerialGC -J-XX:AOTMode=on -J$1 A.java"
    sandbox.succeeds(code, args=["-XX:AOTCache=/opt/codesession/javac.aot"])


def test_the_root_cannot_be_written_to_and_the_user_is_not_root(sandbox: Sandbox) -> None:
    tried = "for d in / /usr /opt/codesession /opt/codesession/go-build /var/tmp; do touch $d/x; done"
    code = f"{{ {tried}; }} 2>/dev/null && echo written; id -u; dmesg | head -1"
    user, kernel = sandbox.succeeds(code)["stdout"].splitlines()
    assert user == "1000"
    assert "gVisor" in kernel
