/**
 * Runs the tests of the packed package on older versions of Node, which npm delivers: `npm run test:nodes [VERSION…]`.
 * Not a part of `npm test`, because it takes minutes and downloads each Node (50 MB).
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { installNode } from "./support/install-node.ts";
import { projectFolder } from "./support/process.ts";

const VERSIONS = process.argv.length > 2 ? process.argv.slice(2) : ["22", "24"];
const TESTS = ["test/e2e/package.test.ts"];

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
    if (!passes(installNode(version, folder))) failed.push(version);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
if (failed.length > 0) console.error(`\nfailed on Node ${failed.join(", ")}`);
process.exitCode = failed.length > 0 ? 1 : 0;
