/** What the system says about a process, for tests that stop and kill processes. */
import { readFileSync } from "node:fs";

/** State of a process: "T" for one that is stopped, "Z" for one that has ended. */
export function stateOf(pid: number): string {
  try {
    return /\) (\w) /.exec(readFileSync(`/proc/${pid}/stat`, "latin1"))?.[1] ?? "Z";
  } catch {
    return "Z";
  }
}
