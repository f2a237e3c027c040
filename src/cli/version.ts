/** The version of this package. */
import { readFile } from "node:fs/promises";

export async function version(): Promise<string> {
  // package.json is two folders up, both from the sources and from the built package.
  const packageJson: unknown = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"));
  return (packageJson as { version: string }).version;
}
