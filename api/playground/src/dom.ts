/** Elements. Text goes in as text, never as markup: most of it was written by programs. */

type Child = Node | string;

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function find<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

export function button(text: string, title: string, act: () => unknown): HTMLButtonElement {
  const made = make("button", { type: "button", title, onclick: () => void act() }, text);
  made.setAttribute("aria-label", title);
  return made;
}

export function size(bytes = 0): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}
