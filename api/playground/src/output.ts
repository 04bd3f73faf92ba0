/** What runs gave: texts as they come, then files: images and tables to see, all to download. */

import { content, type Output } from "./api";
import { rows } from "./csv";
import { button, make, size } from "./dom";
import { label } from "./languages";

// Pictures that cannot do anything. An SVG can, and is a download like any other file.
const IMAGES: Record<string, string> = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
};
const SEPARATORS: Record<string, string> = { csv: ",", tsv: "\t" };
const IMAGE_BYTES = 32 * 1024 ** 2;
const TABLE_BYTES = 256 * 1024;
const TABLE_ROWS = 100;
const TABLE_COLUMNS = 50;
const PREVIEWS = 20;
const KEPT_RUNS = 30;
const FAULTS: Record<string, string> = { TO: "out of time", OM: "out of memory", OL: "too much output" };

export class Run {
  readonly element: HTMLElement;
  private readonly state = make("span", { className: "state" }, "running");
  private readonly text = make("pre");

  constructor(private readonly log: HTMLElement, lang: string) {
    this.element = make("article", { className: "running" }, make("header", {}, label(lang), this.state), this.text);
    this.add(log, this.element);
    while (log.childElementCount > KEPT_RUNS) forget(log.firstElementChild!);
  }

  write(stream: "stdout" | "stderr", text: string): void {
    const last = this.text.lastElementChild;
    if (last?.className === stream) (last.lastChild as Text).appendData(text);
    else this.text.append(make("span", { className: stream }, text));
    this.follow();
  }

  note(text: string, className = "note"): void {
    this.add(this.element, make("p", { className }, text));
  }

  /** `end` is the run's last event. */
  ended(end: { status?: string; exit_code?: number; wall_time?: number }): string {
    const fault = end.status && (FAULTS[end.status] ?? (end.exit_code ? `exit code ${end.exit_code}` : "ended by a signal"));
    return this.close((fault ?? "done") + took(end.wall_time), fault ? "failed" : "done");
  }

  stopped(): string {
    return this.close("stopped", "stopped");
  }

  failed(message: string): string {
    this.note(message, "error");
    this.close("failed", "failed");
    return message;
  }

  async show(files: Output[], deleted: string[]): Promise<void> {
    if (deleted.length) this.note(`Deleted: ${deleted.join(", ")}`);
    const made = files.filter((file) => !file.inherited).map((file) => [file, this.listed(file)] as const);
    for (const [file, figure] of made.slice(0, PREVIEWS)) await this.guarded(() => this.preview(file, figure));
  }

  private close(state: string, className: string): string {
    this.state.textContent = state;
    this.element.className = className;
    return `${state[0].toUpperCase()}${state.slice(1)}.`;
  }

  private listed(file: Output): HTMLElement {
    const save = button("Download", `Download ${file.name}`, () => this.guarded(() => download(file)));
    const figure = make("figure", {}, make("figcaption", {}, make("bdi", {}, file.name), make("small", {}, size(file.size)), save));
    this.add(this.element, figure);
    return figure;
  }

  private async preview(file: Output, figure: Element): Promise<void> {
    const ending = file.name.split(".").pop()!.toLowerCase();
    if (Object.hasOwn(IMAGES, ending) && (file.size ?? 0) <= IMAGE_BYTES) this.add(figure, await image(file, IMAGES[ending]));
    if (Object.hasOwn(SEPARATORS, ending) && file.size) this.add(figure, await table(file, SEPARATORS[ending]));
  }

  private async guarded(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.note((error as Error).message, "error");
    }
  }

  /** What is read goes along with what comes, unless it was scrolled away from the end. */
  private add(to: Element, child: Element): void {
    to.append(child);
    this.follow();
  }

  private atEnd = true;
  private follow(): void {
    if (this.atEnd) this.log.scrollTop = this.log.scrollHeight;
  }

  /** To be called when the reader scrolls. */
  scrolled(): void {
    this.atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
  }
}

function took(milliseconds?: number): string {
  if (milliseconds === undefined) return "";
  return milliseconds < 1000 ? `, ${milliseconds} ms` : `, ${(milliseconds / 1000).toFixed(1)} s`;
}

export function forget(run: Element): void {
  for (const shown of run.querySelectorAll("img")) URL.revokeObjectURL(shown.src);
  run.remove();
}

async function image(file: Output, type: string): Promise<HTMLElement> {
  const shown = make("img", { alt: file.name, src: URL.createObjectURL(await content(file, type)) });
  try {
    await shown.decode();
    return shown;
  } catch {
    URL.revokeObjectURL(shown.src);
    return make("p", { className: "note" }, "This is no picture that can be shown.");
  }
}

async function table(file: Output, separator: string): Promise<HTMLElement> {
  const whole = file.size! <= TABLE_BYTES;
  const text = await (await content(file, "text/plain", whole ? undefined : TABLE_BYTES)).text();
  const found = rows(text.replace(/^\ufeff/, ""), separator, TABLE_ROWS + 2);
  const [head = [], ...body] = whole ? found : found.slice(0, -1);
  const cells = (row: string[], tag: "th" | "td") => row.slice(0, TABLE_COLUMNS).map((cell) => make(tag, {}, make("bdi", {}, cell)));
  const shown = make(
    "table",
    {},
    make("thead", {}, make("tr", {}, ...cells(head, "th"))),
    make("tbody", {}, ...body.slice(0, TABLE_ROWS).map((row) => make("tr", {}, ...cells(row, "td")))),
  );
  const frame = make("div", { className: "table", tabIndex: 0, role: "region", ariaLabel: `Table ${file.name}` }, shown);
  if (!whole || body.length > TABLE_ROWS || head.length > TABLE_COLUMNS)
    frame.append(make("p", { className: "note" }, `Only the beginning: at most ${TABLE_ROWS} rows and ${TABLE_COLUMNS} columns.`));
  return frame;
}

async function download(file: Output): Promise<void> {
  const url = URL.createObjectURL(await content(file, "application/octet-stream"));
  make("a", { href: url, download: file.name.split("/").pop()! }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
