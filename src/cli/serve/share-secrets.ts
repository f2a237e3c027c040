/**
 * Secrets of `switchboard serve` without a config file, shared with the process that takes over: otherwise the tokens
 * of the old process, and its API key, would be worth nothing in the new one. They lie beside the takeover socket, in a
 * folder that is closed to others, because a process needs them before it takes over.
 */
import { linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { checkTakeoverPath } from "../../board/takeover/takeover-directory.ts";
import type { GeneratedSecret, MadeSecrets } from "../../server/config/load.ts";
import { CommandError } from "../usage-error.ts";

/**
 * Returns the secrets of the process that first had this path for takeovers: those of this process if none had. Throws
 * a `CommandError` if the folder isn't safe, or the file can't be written or read.
 */
export function shareSecrets(takeover: string, generated: readonly GeneratedSecret[]): MadeSecrets {
  try {
    checkTakeoverPath(takeover);
    return share(takeover, generated);
  } catch (error) {
    throw new CommandError(`can't start: ${(error as Error).message}`);
  }
}

function share(takeover: string, generated: readonly GeneratedSecret[]): MadeSecrets {
  const file = `${takeover}.secrets`;
  const own = `${file}.${process.pid}`;
  writeFileSync(own, JSON.stringify(Object.fromEntries(generated.map(({ path, value }) => [path, value]))), {
    mode: 0o600,
  });
  try {
    // All in one step: another process may start at the same time.
    linkSync(own, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    rmSync(own);
  }
  return read(file);
}

function read(file: string): MadeSecrets {
  try {
    const secrets: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof secrets === "object" && secrets !== null && Object.values(secrets).every(isSecret)) return secrets;
  } catch {
    // As for a file with something else.
  }
  throw new Error(`${file} holds no secrets of switchboard serve; remove it`);
}

function isSecret(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}
