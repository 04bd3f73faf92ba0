"""The languages of the sandbox: how a file of code becomes a program.

Compilers are told to be quick rather than thorough: a program runs once, seconds after it was written.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from codesession_runner import java

DIRECTORY, WORKSPACE = "{dir}", "{workspace}"
"""In a word of a command: the private directory of the run, where its code is, and where it runs."""


_PREPARED = "/opt/codesession"
"""Where the image has what compilers would do for every program anew."""


@dataclass(frozen=True, slots=True)
class Commands:
    """What becomes of one program. Commands are words; the compiler runs in the private directory."""

    file: str
    """What the code is called there."""
    run: tuple[str, ...] = ()
    """To be followed by the program's arguments; none for the interpreter that is forked ahead."""
    compile: tuple[str, ...] = ()

    def at(self, directory: str, workspace: str) -> Commands:
        """With these two in place of their names."""

        def placed(words: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(word.replace(DIRECTORY, directory).replace(WORKSPACE, workspace) for word in words)

        return replace(self, run=placed(self.run), compile=placed(self.compile))

    def programs(self) -> set[str]:
        """What has to be installed."""
        return {words[0] for words in (self.compile, self.run) if words and DIRECTORY not in words[0]}


@dataclass(frozen=True, slots=True)
class Language:
    name: str
    commands: Callable[[bytes], Commands]
    """Of some code: Java's files and classes have the names that it gives them."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables where the image sets none of that name."""
    linked: bool = False
    """Whether code names files relative to itself (`require("./data.json")`), not to where it runs."""

    @property
    def forked_ahead(self) -> bool:
        return not self.commands(b"").run


def _fixed(file: str, run: str = "", compile_: str = "") -> Callable[[bytes], Commands]:
    commands = Commands(file, tuple(run.split()), tuple(compile_.split()))
    return lambda code: commands


def _java(code: bytes) -> Commands:
    names = java.names(code.decode(errors="replace"))
    options = ("-encoding", "UTF-8", "-proc:none", "-d", ".", "-cp", WORKSPACE)
    return Commands(
        f"{names.file}.java",
        ("java", *_JVM, "-cp", f"{DIRECTORY}:{WORKSPACE}", names.main),
        ("javac", *_JVM_COMPILER, *options, f"{names.file}.java"),
    )


def _classes() -> list[str]:
    """javac's own classes as the image has them, linked beforehand."""
    path = f"{_PREPARED}/javac.aot"
    return [f"-XX:AOTCache={path}"] if Path(path).exists() else []


# No file of counters in /tmp, and the collector that starts first. javac ends before better code would pay.
_JVM = ("-XX:-UsePerfData", "-XX:+UseSerialGC", "-XX:MaxRAMPercentage=50")
_JVM_COMPILER = tuple(f"-J{option}" for option in (*_JVM, "-XX:TieredStopAtLevel=1", *_classes()))

_NATIVE = "{dir}/main"
_HEADERS = "-iquote {workspace}"
# The headers that most programs begin with, compiled beforehand; passed over where there are none.
_COMPILED_HEADERS = f"-I {_PREPARED}/headers"

KNOWN = (
    Language("py", _fixed("main.py")),
    Language("bash", _fixed("main.sh", "bash {dir}/main.sh")),
    Language("js", _fixed("main.js", "node {dir}/main.js"), linked=True),
    Language(
        "ts",
        _fixed(
            "main.ts",
            "node --enable-source-maps {dir}/main.js",
            "esbuild main.ts --log-level=warning --sourcemap=inline --target=node20 --outfile=main.js",
        ),
        linked=True,
    ),
    Language("c", _fixed("main.c", _NATIVE, f"gcc -std=gnu17 -O1 -pipe {_HEADERS} -o main main.c -lm")),
    Language(
        "cpp",
        _fixed(
            "main.cpp", _NATIVE, f"g++ -std=gnu++20 -O1 -pipe {_HEADERS} {_COMPILED_HEADERS} -o main main.cpp"
        ),
    ),
    Language("java", _java),
    Language("php", _fixed("main.php", "php -d display_errors=stderr -d log_errors=0 -f {dir}/main.php --")),
    Language(
        "rs",
        _fixed("main.rs", _NATIVE, "rustc --edition=2021 -C opt-level=1 -C debuginfo=0 -o main main.rs"),
    ),
    Language(
        "go",
        _fixed("main.go", _NATIVE, "go build -ldflags=-s -o main main.go"),
        # Nothing is looked for on a network that is not there.
        {"GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"},
    ),
    Language("d", _fixed("main.d", _NATIVE, "ldc2 -O0 -link-defaultlib-shared -of=main main.d")),
    Language("f90", _fixed("main.f90", _NATIVE, "gfortran -O1 -ffree-form -J . -o main main.f90")),
    Language("r", _fixed("main.R", "Rscript --vanilla {dir}/main.R")),
)

NAMES = tuple(language.name for language in KNOWN)


_LAST_WORDS = 8192
"""Bytes: Node says more after it."""
_OUT_OF_MEMORY = re.compile(
    rb"""
    heap\ out\ of\ memory | Array\ buffer\ allocation\ failed           # Node
    | java\.lang\.OutOfMemoryError
    | Allowed\ memory\ size\ of\ \d+\ bytes\ exhausted                   # PHP
    | std::bad_alloc | memory\ allocation\ of\ \d+\ bytes\ failed        # C++, Rust
    | runtime:\ (?:out\ of\ memory | cannot\ allocate\ memory)          # Go
    | core\.exception\.OutOfMemoryError                                # D
    | cannot\ allocate\ (?:memory\ block\ of\ size | vector\ of\ size)  # R
    | MemoryError                                                     # a Python that bash has started
    | [Oo]ut\ of\ memory | [Mm]emory\ exhausted | [Cc]annot\ allocate\ memory
    """,
    re.VERBOSE,
)


def says_out_of_memory(stderr: bytes | bytearray) -> bool:
    """Whether a program that failed said at last that it had no memory: nothing else tells when a limit
    refused it some, or its own runtime did."""
    return _OUT_OF_MEMORY.search(stderr[-_LAST_WORDS:]) is not None


def available(names: Iterable[str]) -> dict[str, Language]:
    """Those of `names` that this image can run, by name, in the order of `names`."""
    known = {language.name: language for language in KNOWN}
    return {name: known[name] for name in names if name in known and _installed(known[name])}


def _installed(language: Language) -> bool:
    return all(shutil.which(program) for program in language.commands(b"").programs())
