/** The API that served this page. What it refuses is a `Refusal`, whose message is for people. */

import { events, type Event } from "./sse";

export interface Offer {
  languages: string[];
  /** What the API asks for, unless the way here had it already. */
  credential: "api-key" | "jwt" | null;
  /** Whether it lists sessions. */
  sessions: boolean;
}
export interface Ref {
  id: string;
  storage_session_id: string;
  name: string;
}
export interface Output extends Ref {
  size?: number;
  /** It was there before the run. */
  inherited?: boolean;
}
export interface Live {
  session_id: string;
  ends: string;
}

export class Refusal extends Error {
  constructor(
    message: string,
    readonly status = 0,
  ) {
    super(message);
  }
}

// Whatever leads here (a host, a path before, `/v1`) leads to the API too.
const base = location.origin + location.pathname.replace(/\/playground\/?$/, "");
const CUT = "The connection was cut. How the run ended is not known.";
const AWAY = "The API cannot be reached.";
let credential: Offer["credential"] = null;
let secret = "";

export function identify(kind: Offer["credential"], value: string): void {
  [credential, secret] = [kind, value];
}

export async function offer(): Promise<Offer> {
  return (await ask("/playground/offer.json")).json();
}

/** A session, so that the first program's variables are kept too: they are of calls that name one. */
export async function open(lang: string, signal: AbortSignal): Promise<string> {
  return (await (await post({ lang, code: "" }, "application/json", signal)).json()).session_id;
}

/** The last event is always `end`. */
export async function* run(program: object, signal: AbortSignal): AsyncGenerator<Event> {
  const response = await post(program, "text/event-stream", signal);
  try {
    for await (const [name, data] of events(response.body!)) {
      if (name === "error") throw new Refusal(words(data.message, data.retry_after_seconds));
      yield [name, data];
      if (name === "end") return;
    }
  } catch (error) {
    if (error instanceof Refusal || signal.aborted) throw error;
  }
  throw new Refusal(CUT);
}

/** `progress` is told which part of the file was sent, from 0 to 1. */
export function upload(file: File, progress: (part: number) => void): Promise<Ref> {
  const form = new FormData();
  form.append("file", file);
  const request = new XMLHttpRequest(); // fetch does not tell how much was sent
  request.open("POST", `${base}/upload`);
  for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
  request.responseType = "json";
  return new Promise((resolve, reject) => {
    request.upload.onprogress = (event) => progress(event.loaded / event.total);
    request.onerror = () => reject(new Refusal(AWAY));
    request.onload = () => {
      const said = request.response;
      if (request.status !== 200) return reject(refusal(request.status, said, request.getResponseHeader("retry-after")));
      const [{ fileId: id, filename: name }] = said.files;
      resolve({ id, name, storage_session_id: said.storage_session_id });
    };
    request.send(form);
  });
}

/** The bytes of a file, as `type`: nothing that the server says decides how they are shown. */
export async function content(file: Ref, type: string, most?: number): Promise<Blob> {
  const range: HeadersInit = most ? { Range: `bytes=0-${most - 1}` } : {};
  const path = `/download/${encodeURIComponent(file.storage_session_id)}/${encodeURIComponent(file.id)}`;
  const response = await ask(path, { headers: range });
  const cut = () => Promise.reject(new Refusal(`${file.name} was cut on its way.`));
  return new Blob([await response.blob().catch(cut)], { type });
}

/** And by how many milliseconds the server's clock is ahead of this one. */
export async function sessions(): Promise<[Live[], number]> {
  const response = await ask("/sessions");
  const ahead = Date.parse(response.headers.get("date") ?? "") - Date.now();
  return [(await response.json()).sessions, ahead || 0];
}

export async function end(session: string): Promise<void> {
  await ask(`/sessions/${encodeURIComponent(session)}`, { method: "DELETE" });
}

function post(body: object, accept: string, signal: AbortSignal): Promise<Response> {
  const sent = { "Content-Type": "application/json", Accept: accept };
  return ask("/exec", { method: "POST", body: JSON.stringify(body), headers: sent, signal });
}

async function ask(path: string, how: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(base + path, { ...how, cache: "no-store", headers: { ...how.headers, ...headers() } });
  } catch (error) {
    if (how.signal?.aborted) throw error;
    throw new Refusal(AWAY);
  }
  if (response.ok) return response;
  throw refusal(response.status, await response.json().catch(() => null), response.headers.get("retry-after"));
}

function headers(): Record<string, string> {
  if (!credential || !secret) return {};
  return credential === "jwt" ? { Authorization: `Bearer ${secret}` } : { "X-API-Key": secret };
}

function refusal(status: number, said: { message?: string } | null, after: string | null): Refusal {
  if (status !== 401) return new Refusal(words(said?.message ?? `The API answered with status ${status}.`, after), status);
  return new Refusal(secret ? "The API does not know this key." : "The API asks for a key: it goes into the field above.", 401);
}

function words(message: string, after?: string | number | null): string {
  return after ? `${message} Try again in ${after} s.` : message;
}
