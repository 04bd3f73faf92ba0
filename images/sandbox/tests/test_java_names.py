"""What a file of Java is called, and the class that is started."""

from __future__ import annotations

import time

import pytest

from codesession_runner.java import Names, names

MAIN = "public static void main(String[] args) {}"


@pytest.mark.parametrize(
    ("code", "file", "main"),
    [
        ("", "Main", "Main"),
        (f"public class Main {{ {MAIN} }}", "Main", "Main"),
        (f"public final class Tool {{ {MAIN} }}", "Tool", "Tool"),
        (f"class Tool {{ {MAIN} }}", "Main", "Tool"),
        (f"class A {{ int x() {{ return 1; }} }}\nclass B {{ {MAIN} }}", "Main", "B"),
        (f"public class A {{ }}\nclass B {{ {MAIN} }}", "A", "B"),
        (f"class B {{ {MAIN} }}\npublic class A {{ {MAIN} }}", "A", "A"),
        (f"public class A {{ static class B {{ {MAIN} }} }}", "A", "A"),
        (f"package a.b;\nimport java.util.*;\npublic class C {{ {MAIN} }}", "C", "a.b.C"),
        (f"record P(int x) {{ }}\nenum E {{ ONE }}\ninterface I {{ }}\nclass M {{ {MAIN} }}", "Main", "M"),
        (f"public enum E {{ ONE; {MAIN} }}", "E", "E"),
        (f'@SuppressWarnings({{"a", "b"}})\npublic class A {{ {MAIN} }}', "A", "A"),
        (f"// public class X {{\n/* public class Y {{ */ class A {{ {MAIN} }}", "Main", "A"),
        (f'class A {{ String s = "}} class X {{ \\""; char c = \'}}\'; {MAIN} }}', "Main", "A"),
        (f'class A {{ String s = """\n}} class X {{ "\n"""; {MAIN} }}', "Main", "A"),
        ("class A { /* never closed", "Main", "Main"),
        ('class A { "never closed', "Main", "Main"),
    ],
)
def test_names(code: str, file: str, main: str) -> None:
    assert names(code) == Names(file, main)


@pytest.mark.parametrize(
    "piece", ["/*", '"', '\\"', '"""\\', "'", "\n", "public ", "public a ", "{", "class "]
)
def test_hostile_code_takes_no_longer(piece: str) -> None:
    code = piece * (2**18 // len(piece))
    began = time.process_time()
    names(code)
    assert time.process_time() - began < 2
