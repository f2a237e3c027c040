/**
 * Builds the sources as the package has them, and the actors of the tests, before the tests run: a thread that loads a
 * few files of JavaScript starts in half the CPU time of one that loads 250 of TypeScript. `resolve-sources.ts` leads
 * the threads and programs of tests there.
 */
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, parse } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import type { TestProject } from "vitest/node";
import { assets, entries, form, programs } from "../../tsup.config.ts";

const root = join(import.meta.dirname, "../..");
const target = join(root, "node_modules/.cache/built");
const ACTORS = "test/support/actors";
/** Age in milliseconds of files that no run of the tests needs any more. */
const OLD_MS = 3_600_000;

export async function setup(project: TestProject): Promise<void> {
  await buildSources();
  // The sources may have changed, in the watch mode.
  project.onTestsRerun(buildSources);
}

async function buildSources(): Promise<void> {
  const entryPoints = { ...entries, ...programs, ...(await actors()) };
  const outdir = join(target, "dist");
  const { outputFiles } = await build({
    entryPoints,
    outdir,
    ...form,
    bundle: true,
    platform: "node",
    packages: "external",
    absWorkingDir: root,
    logLevel: "error",
    write: false,
  });
  for (const { path, contents } of outputFiles) await write(path, contents);
  await removeOld(outdir, new Set(outputFiles.map(({ path }) => path)));
  for (const [path, source] of Object.entries(assets)) {
    await write(join(outdir, path), await readFile(join(root, source)));
  }
  await write(join(target, "package.json"), await readFile(join(root, "package.json")));
  const built = Object.entries(entryPoints).map(([name, source]) => [
    pathToFileURL(join(root, source)).href,
    pathToFileURL(join(outdir, `${name}.js`)).href,
  ]);
  await write(join(target, "built.json"), Buffer.from(JSON.stringify(Object.fromEntries(built))));
}

/** The actors of the tests. */
async function actors(): Promise<Record<string, string>> {
  const files = await readdir(join(root, ACTORS));
  return Object.fromEntries(files.map((file) => [`actors/${parse(file).name}`, `${ACTORS}/${file}`]));
}

/** Leaves a file alone that is there already: another run of the tests may be reading it. */
async function write(path: string, contents: Uint8Array): Promise<void> {
  const present = await readFile(path).catch(() => undefined);
  if (present?.equals(contents)) return;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, contents);
}

/** Removes what earlier runs built, unless one of them may still go on. */
async function removeOld(folder: string, kept: ReadonlySet<string>): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const { mtimeMs } = await stat(path);
    if (path.endsWith(".js") && !kept.has(path) && mtimeMs < Date.now() - OLD_MS) await rm(path);
  }
}
