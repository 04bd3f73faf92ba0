/** Files that are dropped or chosen: uploaded at once, and named by the next run. */

import { upload, type Ref } from "./api";
import { button, find, make, size } from "./dom";

const files = new Map<string, Ref>();
const sent = new Set<string>();
const uploads = new Set<Promise<void>>();

/** When those that were dropped so far are there; rejects when it is aborted. */
export function uploaded(signal: AbortSignal): Promise<unknown> {
  const aborted = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  return Promise.race([Promise.all(uploads), aborted]);
}

/** Those that the session does not have yet. */
export function pending(): Ref[] {
  return [...files.values()].filter((file) => !sent.has(file.id));
}

export function taken(refs: Ref[]): void {
  for (const { id } of refs) sent.add(id);
}

/** Another session has none of them. */
export function untaken(): void {
  sent.clear();
}

export function accept(): void {
  const zone = find("drop");
  const input = find<HTMLInputElement>("choose");
  input.onchange = () => {
    for (const file of input.files ?? []) begin(file);
    input.value = "";
  };
  // Anywhere on the page, and before the editor, which would take the text of a file for a program.
  const capture = true;
  const carries = (event: DragEvent) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    zone.classList.add("over");
  }, capture);
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) zone.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    event.stopPropagation();
    zone.classList.remove("over");
    for (const file of event.dataTransfer!.files) begin(file);
  }, capture);
}

function begin(file: File): void {
  const upload = add(file).finally(() => uploads.delete(upload));
  uploads.add(upload);
}

async function add(file: File): Promise<void> {
  const bar = make("progress", { max: 1, value: 0 });
  bar.setAttribute("aria-label", `Upload of ${file.name}`);
  const state = make("small", { role: "status" }, "uploading");
  const item = make("li", {}, make("bdi", {}, file.name), bar, state);
  find("files").append(item);
  try {
    const ref = await upload(file, (part) => (bar.value = part));
    files.set(ref.name, ref);
    state.textContent = size(file.size);
    const name = item.firstElementChild!;
    name.textContent = ref.name;
    for (const other of item.parentElement!.children)
      if (other !== item && other.firstElementChild!.textContent === ref.name) other.remove();
    item.append(button("×", `Do not give ${ref.name} to further sessions`, () => (files.delete(ref.name), item.remove())));
  } catch (error) {
    state.textContent = (error as Error).message;
    state.className = "error";
    item.append(button("×", `Remove ${file.name} from the list`, () => item.remove()));
  } finally {
    bar.remove();
  }
}
