/** The session that runs are for, and the others that are alive. */

import * as api from "./api";
import { button, find, make } from "./dom";
import { untaken } from "./files";

const KEY = "session";
let listed = false;
let ahead = 0;
/** When each ends, in milliseconds of the server's clock. A replica knows some of them: they are put together. */
const ends = new Map<string, number>();

export const current = (): string | null => sessionStorage.getItem(KEY);

/** Without one, the next run makes one. */
export function use(session: string | null): void {
  if (session === current()) return;
  if (session) sessionStorage.setItem(KEY, session);
  else sessionStorage.removeItem(KEY);
  untaken();
  draw();
}

export function start(offer: api.Offer): void {
  listed = offer.sessions;
  find("new").onclick = () => use(null);
  setInterval(draw, 5_000);
  setInterval(() => document.hidden || void refresh(), 30_000);
}

/** Quietly: the list is beside the point, and a fault shows where something is done. */
export async function refresh(): Promise<void> {
  if (!listed) return draw();
  const [live, clock] = await api.sessions().catch(() => [[], ahead] as const);
  ahead = clock;
  for (const each of live) ends.set(each.session_id, Math.max(Date.parse(each.ends), ends.get(each.session_id) ?? 0));
  draw();
}

function draw(): void {
  const now = Date.now() + ahead;
  for (const [session, end] of ends) if (end < now && session !== current()) ends.delete(session);
  const items = [...ends].map(([session, end]) => item(session, left(end - now)));
  const mine = current();
  if (mine && !ends.has(mine)) items.unshift(item(mine, "in use"));
  const none = make("li", { className: "note" }, "None yet: the first run makes one.");
  const list = find("sessions");
  const focused = (document.activeElement as HTMLElement | null)?.title;
  list.replaceChildren(...(items.length ? items : [none]));
  if (focused) list.querySelector<HTMLElement>(`[title="${CSS.escape(focused)}"]`)?.focus();
}

function item(session: string, time: string): HTMLLIElement {
  const chosen = session === current();
  const made = make("li", {}, make("code", { title: session }, session.slice(0, 8)), make("small", {}, time));
  if (chosen) made.setAttribute("aria-current", "true");
  else made.append(button("Use", `Use session ${session}`, () => use(session)));
  made.append(button("End", `End session ${session}, with its files`, () => finish(session)));
  return made;
}

async function finish(session: string): Promise<void> {
  await api.end(session).catch((error: Error) => (find("status").textContent = error.message));
  ends.delete(session);
  if (session === current()) use(null);
  await refresh();
}

function left(milliseconds: number): string {
  if (milliseconds < 0) return "ended";
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes >= 120) return `${Math.floor(minutes / 60)} h left`;
  return minutes >= 2 ? `${minutes} min left` : `${Math.ceil(milliseconds / 1000)} s left`;
}
