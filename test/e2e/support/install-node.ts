/** Other versions of Node, which npm delivers, for commands that run tests with them. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** Installs a Node in a folder. Returns the path of its program. */
export function installNode(version: string, folder: string): string {
  // The package downloads the program in an install script, which npm runs only if that is allowed.
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, allowScripts: { node: true } }));
  const { status } = spawnSync("npm", ["install", "--no-audit", "--no-fund", `node@${version}`], {
    cwd: folder,
    stdio: "inherit",
  });
  if (status !== 0) throw new Error(`npm can't install node@${version}`);
  return join(folder, "node_modules/node/bin/node");
}
