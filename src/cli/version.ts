/** The version of this package, for the commands. */
import { readFile } from "node:fs/promises";

// The built file may be a chunk that commands share: all chunks lie in one folder.
const PACKAGE = new URL(import.meta.url.endsWith(".ts") ? "../../package.json" : "../package.json", import.meta.url);

export async function version(): Promise<string> {
  const packageJson: unknown = JSON.parse(await readFile(PACKAGE, "utf8"));
  return (packageJson as { version: string }).version;
}
