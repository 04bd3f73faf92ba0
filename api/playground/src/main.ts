import * as api from "./api";
import { find, make } from "./dom";
import { editor } from "./editor";
import * as files from "./files";
import { label } from "./languages";
import { forget, Run } from "./output";
import * as sessions from "./sessions";

const SAMPLE = `# Drop a file anywhere on this page, and it is here by its name.
import matplotlib.pyplot as plt

plt.plot([1, 4, 9, 16])
plt.title("Squares")
plt.savefig("squares.png")
print("Made squares.png")
`;

const language = find<HTMLSelectElement>("language");
const log = find("log");
const written = editor(find("editor"), sessionStorage.getItem("program") ?? SAMPLE, () => void run());
let running: AbortController | undefined;
let shown: Run | undefined;

async function run(): Promise<void> {
  if (running) return;
  running = new AbortController();
  const { signal } = running;
  busy(true);
  shown = new Run(log, language.value);
  try {
    tell(await execute(shown, language.value, signal));
  } catch (error) {
    tell(signal.aborted ? shown.stopped() : shown.failed((error as Error).message));
    if ((error as api.Refusal).status === 401) find("secret").focus();
  } finally {
    running = undefined;
    busy(false);
    void sessions.refresh();
  }
}

async function execute(shown: Run, lang: string, signal: AbortSignal): Promise<string> {
  const code = written.text();
  await files.uploaded(signal);
  if (!sessions.current()) sessions.use(await api.open(lang, signal));
  const session_id = sessions.current();
  const refs = files.pending();
  let done = "";
  for await (const [name, data] of api.run({ lang, code, session_id, files: refs }, signal)) {
    if (name === "stdout" || name === "stderr") shown.write(name, data.text);
    if (name === "files") void shown.show(data.files, data.deleted_files);
    if (name !== "end") continue;
    done = shown.ended(data);
    if (session_id && data.session_id !== session_id) {
      sessions.use(data.session_id);
      shown.note("The session had ended. This is a new one, with its files; variables are gone.");
    }
    files.taken(refs);
  }
  return done;
}

function busy(is: boolean): void {
  find("run").ariaDisabled = String(is); // `disabled` would take the focus away
  find("stop").hidden = !is;
  if (is) tell("Running.");
}

function tell(text: string): void {
  find("status").textContent = text;
}

function dress(): void {
  const theme = find<HTMLSelectElement>("theme");
  const wear = () => (document.documentElement.dataset.theme = theme.value);
  theme.value = localStorage.getItem("theme") ?? "";
  theme.onchange = () => (localStorage.setItem("theme", theme.value), wear());
  wear();
}

function ask(offer: api.Offer): void {
  const secret = find<HTMLInputElement>("secret");
  find("credential").hidden = offer.credential === null;
  find("credential-name").textContent = offer.credential === "jwt" ? "Token" : "API key";
  secret.value = sessionStorage.getItem("key") ?? "";
  const identify = () => {
    sessionStorage.setItem("key", secret.value);
    api.identify(offer.credential, secret.value.trim());
    if (offer.credential === null || secret.value) void sessions.refresh();
  };
  secret.onchange = identify;
  identify();
}

async function begin(): Promise<void> {
  dress();
  files.accept();
  find("run").onclick = () => void run();
  find("stop").onclick = () => running?.abort();
  find("clear").onclick = () => [...log.children].forEach((each) => each.classList.contains("running") || forget(each));
  log.onscroll = () => shown?.scrolled();
  addEventListener("pagehide", () => sessionStorage.setItem("program", written.text()));
  addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.defaultPrevented) void run();
  });
  const offer = await api.offer();
  language.append(...offer.languages.map((lang) => make("option", { value: lang }, label(lang))));
  language.onchange = () => written.speak(language.value);
  written.speak(language.value);
  sessions.start(offer);
  ask(offer);
  tell("Ready.");
}

begin().catch((error: Error) => tell(error.message));
