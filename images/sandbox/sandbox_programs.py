"""A program in each language: it says é and its arguments, and how much stdin has, writes `out.txt` where it
runs, and exits with 3.

And one in each compiled language that does not compile.
"""

from __future__ import annotations

PROGRAMS = {
    "py": """
import sys
print("é", *sys.argv[1:])
print(len(sys.stdin.read()))
open("out.txt", "w").write("out")
sys.exit(3)
""",
    "bash": """
echo "é $*"
cat | wc -c
printf out > out.txt
exit 3
""",
    "js": """
const fs = require("fs");
console.log("é", ...process.argv.slice(2));
console.log(fs.readFileSync(0).length);
fs.writeFileSync("out.txt", "out");
process.exit(3);
""",
    "ts": """
import * as fs from "node:fs";
enum Word { Out = "out" }
const words: string[] = process.argv.slice(2);
console.log("é", ...words);
console.log(await Promise.resolve(fs.readFileSync(0).length));
fs.writeFileSync("out.txt", Word.Out satisfies string);
process.exit(3);
""",
    "c": """
#include <math.h>
#include <stdio.h>
int main(int argc, char **argv) {
    printf("é");
    for (int i = 1; i < argc; i++) printf(" %s", argv[i]);
    printf("\\n%d\\n", getchar() == EOF ? (int)sqrt(argc - 3) : 1);
    FILE *f = fopen("out.txt", "w");
    fputs("out", f);
    fclose(f);
    return 3;
}
""",
    "cpp": """
#include <iostream>
#include <fstream>
#include <ranges>
#include <vector>
int main(int argc, char **argv) {
    std::cout << "é";
    std::vector<std::string> words(argv + 1, argv + argc);
    for (auto word : words | std::views::all) std::cout << ' ' << word;
    std::cout << '\\n' << (std::cin.get() == EOF ? 0 : 1) << std::endl;
    std::ofstream("out.txt") << "out";
    return 3;
}
""",
    "java": """
import java.nio.file.*;
class Word { static String of(String... words) { return String.join(" ", words); } }
public class Program {
    public static void main(String[] args) throws Exception {
        System.out.println("é " + Word.of(args));
        System.out.println(System.in.readAllBytes().length);
        Files.writeString(Path.of("out.txt"), "out");
        System.exit(3);
    }
}
""",
    "php": """<?php
echo implode(" ", ["é", ...array_slice($argv, 1)]), "\\n", strlen(stream_get_contents(STDIN)), "\\n";
file_put_contents("out.txt", "out");
exit(3);
""",
    "rs": """
use std::io::Read;
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    println!("é {}", words.join(" "));
    let mut text = String::new();
    println!("{}", std::io::stdin().read_to_string(&mut text).unwrap());
    std::fs::write("out.txt", "out").unwrap();
    std::process::exit(3);
}
""",
    "go": """
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	fmt.Println("é", strings.Join(os.Args[1:], " "))
	text, _ := io.ReadAll(os.Stdin)
	fmt.Println(len(text))
	os.WriteFile("out.txt", []byte("out"), 0o644)
	os.Exit(3)
}
""",
    "d": """
import std.array, std.file, std.stdio;
int main(string[] args) {
    writeln("é ", args[1 .. $].join(" "));
    writeln(stdin.byLine.array.length);
    std.file.write("out.txt", "out");
    return 3;
}
""",
    "f90": """
program main
  implicit none
  character(len=32) :: first, second, line
  integer :: status
  call get_command_argument(1, first)
  call get_command_argument(2, second)
  print '(a)', 'é ' // trim(first) // ' ' // trim(second)
  read (*, '(a)', iostat=status) line
  print '(i0)', merge(0, 1, status < 0)
  open (unit=10, file='out.txt', access='stream')
  write (10) 'out'
  close (10)
  stop 3
end program
""",
    "r": """
words <- commandArgs(trailingOnly = TRUE)
cat("é", words)
cat("\\n")
cat(length(readLines(file("stdin"))), "\\n", sep = "")
cat("out", file = "out.txt")
quit(status = 3)
""",
}

BROKEN = {
    "ts": "const = 1;",
    "c": "int main(void) { return missing; }",
    "cpp": "int main() { return missing; }",
    "java": "class A { public static void main(String[] args) { missing(); } }",
    "rs": "fn main() { missing(); }",
    "go": "package main\nfunc main() { missing() }\n",
    "d": "void main() { missing(); }",
    "f90": "program main\n  implicit none\n  missing = 1\nend program\n",
}
