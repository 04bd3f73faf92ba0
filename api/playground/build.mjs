// `node build.mjs [DIRECTORY]`: the page into the API's package. The same sources and lock file give the same bytes.
import { build } from "esbuild";
import { readFile, rm, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";

const here = import.meta.dirname;
const target = resolve(process.argv[2] ?? join(here, "../codesession_api/playground"));
await rm(target, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.ts", "style.css", "icon.svg"],
  entryNames: "[name]-[hash]",
  outdir: target,
  loader: { ".svg": "copy" },
  preserveSymlinks: true, // packages may be linked from elsewhere, and their paths are in the hashes
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome123", "firefox120", "safari17.5"],
  legalComments: "none", // licenses.txt has all
  metafile: true,
});

let page = await readFile(join(here, "index.html"), "utf8");
for (const [path, { entryPoint }] of Object.entries(metafile.outputs)) {
  const plain = basename(entryPoint).replace(/\.ts$/, ".js");
  page = page.replace(`playground/${plain}`, `playground/${basename(path)}`);
}
await writeFile(join(target, "index.html"), page);

const packages = new Set(Object.keys(metafile.inputs).map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]));
packages.delete(undefined);
const licenses = [...packages].sort().map(async (name) => {
  const folder = join(here, "node_modules", name);
  const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  return `${name} ${version}\n\n${await readFile(join(folder, "LICENSE"), "utf8")}`;
});
await writeFile(join(target, "licenses.txt"), (await Promise.all(licenses)).join("\n\n"));
