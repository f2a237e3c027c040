/**
 * Runs the tests of the packed package on older versions of Node, which npm delivers: `npm run test:nodes [VERSION…]`.
 * Not a part of `npm test`, because it takes minutes and downloads each Node (50 MB).
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { projectFolder } from "./support/process.ts";

const VERSIONS = process.argv.length > 2 ? process.argv.slice(2) : ["22", "24"];
const TESTS = ["test/e2e/package.test.ts"];

/** Installs a Node. Returns the path of its program. */
function install(version: string, folder: string): string {
  // The package downloads the program in an install script, which npm runs only if that is allowed.
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, allowScripts: { node: true } }));
  const { status } = spawnSync("npm", ["install", "--no-audit", "--no-fund", `node@${version}`], {
    cwd: folder,
    stdio: "inherit",
  });
  if (status !== 0) throw new Error(`npm can't install node@${version}`);
  return join(folder, "node_modules/node/bin/node");
}

/** Runs the tests with a Node. Returns true if all pass. */
function passes(node: string): boolean {
  const { stdout } = spawnSync(node, ["--version"], { encoding: "utf8" });
  console.log(`\nNode ${stdout.trim()}`);
  const env = { ...process.env, PATH: [dirname(node), process.env["PATH"]].join(delimiter) };
  const vitest = join(projectFolder, "node_modules/vitest/vitest.mjs");
  return spawnSync(node, [vitest, "run", ...TESTS], { cwd: projectFolder, stdio: "inherit", env }).status === 0;
}

const failed: string[] = [];
for (const version of VERSIONS) {
  const folder = mkdtempSync(join(tmpdir(), "switchboard-node-"));
  try {
    if (!passes(install(version, folder))) failed.push(version);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
if (failed.length > 0) console.error(`\nfailed on Node ${failed.join(", ")}`);
process.exitCode = failed.length > 0 ? 1 : 0;
