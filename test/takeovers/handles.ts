/**
 * `npm run takeovers:handles -- [PATH]`: all replacements through `switchboard run`, with the supervisor and the
 * programs in a Node that has no `node:ffi`, and chains to this Node and back. PATH is that Node. Default: Node 24,
 * which npm delivers (50 MB).
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installNode } from "../e2e/support/install-node.ts";
import { projectFolder } from "../e2e/support/process.ts";

const folder = mkdtempSync(join(tmpdir(), "switchboard-node-"));
try {
  const env = { ...process.env, NODE_WITHOUT_FFI: process.argv[2] ?? installNode("24", folder) };
  const vitest = join(projectFolder, "node_modules/vitest/vitest.mjs");
  const args = [vitest, "run", "test/cli/run/handles.test.ts", "test/cli/run/failing-handles.test.ts"];
  const { status } = spawnSync(process.execPath, args, { cwd: projectFolder, stdio: "inherit", env });
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
