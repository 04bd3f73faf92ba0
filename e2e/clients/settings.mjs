// LibreChat's own reading of its librechat.yaml, by the schema of each release that is installed beside this file: the
// document as JSON on stdin; on stdout what each finds wrong with it, by release.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const releases = Object.keys(JSON.parse(readFileSync(new URL('package.json', import.meta.url))).dependencies);
const document = JSON.parse(readFileSync(0, 'utf8'));
const faults = (release) => require(release).configSchema.strict().safeParse(document).error?.issues ?? [];
process.stdout.write(JSON.stringify(Object.fromEntries(releases.map((release) => [release, faults(release)]))));
