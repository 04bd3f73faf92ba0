/** How the menu calls a language, and what colours it. */

import type { StreamParser } from "@codemirror/language";
import { c, clike, cpp, java } from "@codemirror/legacy-modes/mode/clike";
import { d } from "@codemirror/legacy-modes/mode/d";
import { fortran } from "@codemirror/legacy-modes/mode/fortran";
import { go } from "@codemirror/legacy-modes/mode/go";
import { javascript, typescript } from "@codemirror/legacy-modes/mode/javascript";
import { python } from "@codemirror/legacy-modes/mode/python";
import { r } from "@codemirror/legacy-modes/mode/r";
import { rust } from "@codemirror/legacy-modes/mode/rust";
import { shell } from "@codemirror/legacy-modes/mode/shell";

const PHP_WORDS =
  "abstract as break case catch class clone const continue declare default do echo else elseif enum extends final " +
  "finally fn for foreach function global if implements include instanceof interface match namespace new print " +
  "private protected public readonly require return static switch throw trait try use var while yield";
const php = clike({
  name: "php",
  keywords: Object.fromEntries(PHP_WORDS.split(" ").map((word) => [word, true])),
  atoms: { true: true, false: true, null: true },
});

const LANGUAGES: Record<string, [label: string, mode: StreamParser<any>]> = {
  py: ["Python", python],
  js: ["JavaScript", javascript],
  ts: ["TypeScript", typescript],
  c: ["C", c],
  cpp: ["C++", cpp],
  java: ["Java", java],
  php: ["PHP", php],
  rs: ["Rust", rust],
  go: ["Go", go],
  d: ["D", d],
  f90: ["Fortran", fortran],
  r: ["R", r],
  bash: ["Bash", shell],
};

export const label = (lang: string): string => LANGUAGES[lang]?.[0] ?? lang;
export const mode = (lang: string): StreamParser<any> | undefined => LANGUAGES[lang]?.[1];
