/**
 * Builds the sources as the package has them, once before all tests: a thread that loads a few files starts in half the
 * CPU time of one that loads 250. `resolve-sources.ts` leads the threads and programs of tests there.
 */
import { copyFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { copyAssets, entries, programs } from "../../tsup.config.ts";

const root = join(import.meta.dirname, "../..");
const target = join(root, "node_modules/.cache/built");

export async function setup(): Promise<void> {
  const entryPoints = { ...entries, ...programs };
  const outdir = join(target, "dist");
  await rm(target, { recursive: true, force: true });
  await build({
    entryPoints,
    outdir,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node22",
    packages: "external",
    absWorkingDir: root,
    logLevel: "error",
  });
  await copyAssets(outdir);
  await copyFile(join(root, "package.json"), join(target, "package.json"));
  const built = Object.entries(entryPoints).map(([name, source]) => [
    pathToFileURL(join(root, source)).href,
    pathToFileURL(join(outdir, `${name}.js`)).href,
  ]);
  await writeFile(join(target, "built.json"), JSON.stringify(Object.fromEntries(built)));
}
