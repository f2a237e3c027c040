/** `switchboard run` as a program, for its tests. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { RunningProgram } from "../../e2e/support/process.ts";
import { type ProgramOptions, switchboardIn } from "../program.ts";

/** A server that can be taken over. Its argument is a file with its options. */
export const ECHO = fileURLToPath(new URL("programs/echo.ts", import.meta.url));

/** A folder that is removed after the test. */
export function newFolder(): string {
  const path = mkdtempSync(join(tmpdir(), "switchboard-run-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

/** A file with the source of a program. */
export function script(source: string): string {
  const file = join(newFolder(), "program.mjs");
  writeFileSync(file, source);
  return file;
}

/** Starts `switchboard run`. It ends with the test, and so do its children. */
export function superviseIn(options: ProgramOptions, ...args: readonly string[]): RunningProgram {
  const supervisor = switchboardIn(options, "run", ...args);
  onTestFinished(() => {
    for (const pid of childrenOf(supervisor.pid)) {
      try {
        process.kill(-pid, "SIGKILL");
      } catch {
        // The child has ended by now.
      }
    }
  });
  return supervisor;
}

export function supervise(...args: readonly string[]): RunningProgram {
  return superviseIn({}, ...args);
}

/** Child processes, the newest last. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return text.trim().split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Matches output with this so many times. */
export function times(count: number, pattern: string): RegExp {
  return new RegExp(`(${pattern}[\\s\\S]*){${count}}`);
}

export async function ended(supervisor: RunningProgram) {
  const { code, stdout, stderr } = await supervisor.exit;
  return { code, stdout, stderr };
}
