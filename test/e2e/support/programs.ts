/** Looks for programs that tests need: Chromium, Python with websockets, an older Node. */
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/**
 * Returns true if a test must be skipped because this machine lacks what it needs, and prints one line about that. With
 * `CI=true`, where everything must be there, the test fails instead.
 */
export function isMissing(what: string, found: boolean, remedy: string): boolean {
  if (found) return false;
  const missing = `${what} is not installed (${remedy})`;
  if (process.env["CI"] === "true") throw new Error(missing);
  console.log(`skipped: ${missing}`);
  return true;
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export function succeeds(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

/** The first Node on the PATH that isn't this project's and is older than Switchboard needs. */
export function findOldNode(): string | undefined {
  // NODE_OPTIONS loads what an old Node can't: see `vitest.config.ts`.
  const env = { ...process.env, NODE_OPTIONS: "" };
  return (process.env["PATH"] ?? "")
    .split(delimiter)
    .filter((folder) => !folder.includes("node_modules"))
    .map((folder) => join(folder, "node"))
    .filter(isExecutable)
    .find(
      (node) => Number.parseFloat(spawnSync(node, ["-p", "process.versions.node"], { env }).stdout.toString()) < 22,
    );
}
