/** The editor. It stands in a shadow root, where CodeMirror's styles are constructed sheets: a `<style>` element,
 * which it makes elsewhere, is what the page's policy forbids. */

import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { mode } from "./languages";

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.modifier, tags.operatorKeyword], color: "var(--keyword)" },
  { tag: [tags.string, tags.special(tags.string), tags.regexp], color: "var(--string)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: "var(--number)" },
  { tag: [tags.comment, tags.meta], color: "var(--comment)", fontStyle: "italic" },
  { tag: [tags.definition(tags.variableName), tags.function(tags.variableName)], color: "var(--name)" },
  { tag: [tags.typeName, tags.className, tags.standard(tags.variableName)], color: "var(--type)" },
]);

const look = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", fontSize: "0.875rem" },
  "&.cm-focused": { outline: "none" }, // the frame shows it
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6" },
  ".cm-content": { caretColor: "var(--accent)", padding: "0.75rem 0" },
  ".cm-cursor": { borderLeftColor: "var(--accent)" },
  ".cm-gutters": { background: "none", border: "none", color: "var(--faint)" },
  ".cm-activeLine, .cm-activeLineGutter": { background: "var(--line)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "var(--selection)",
  },
  "&.cm-focused .cm-matchingBracket": { background: "var(--selection)" },
});

// What is typed over several lines gets their style from a browser, by an attribute, which the policy forbids too.
const typing = EditorView.domEventHandlers({
  beforeinput(event, view) {
    if (event.inputType !== "insertText" || event.data === null || view.state.selection.main.empty) return false;
    view.dispatch(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
    return true;
  },
});

export interface Editor {
  text(): string;
  speak(lang: string): void;
}

export function editor(place: HTMLElement, text: string, run: () => void): Editor {
  const language = new Compartment();
  const root = place.attachShadow({ mode: "open", delegatesFocus: true });
  const running = { key: "Mod-Enter", run: () => (run(), true) };
  const extensions = [
    Prec.highest(keymap.of([running])),
    lineNumbers(),
    history(),
    drawSelection(),
    highlightActiveLine(),
    indentOnInput(),
    indentUnit.of("    "),
    bracketMatching(),
    syntaxHighlighting(colours),
    look,
    language.of([]),
    keymap.of([...defaultKeymap, ...historyKeymap, indentWithTab]),
    typing,
    EditorView.contentAttributes.of({ "aria-label": "Program", "aria-description": "Escape, then Tab, leaves the editor." }),
  ];
  const view = new EditorView({ parent: root, root, state: EditorState.create({ doc: text, extensions }) });
  return {
    text: () => view.state.doc.toString(),
    speak(lang) {
      const found = mode(lang);
      view.dispatch({ effects: language.reconfigure(found ? StreamLanguage.define(found) : []) });
    },
  };
}
