/** The child processes of the supervisor: those that it starts, and orphans that it gets as PID 1 of a container. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { reap, whyNoReaping } from "../../wire/native/processes.ts";

/** Processes that Node waits for. */
const started = new Set<number>();

/** Starts a child process. Every child of the supervisor comes from here. */
export function startChild(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(command, args, options);
  const { pid } = child;
  if (pid !== undefined) {
    started.add(pid);
    child.once("exit", () => started.delete(pid));
  }
  return child;
}

/**
 * Reaps processes whose parents have ended: the system makes them children of PID 1, and keeps each until PID 1 takes
 * its exit status. Does nothing in other processes, and in a Node without `node:ffi`.
 */
export function reapOrphans(): void {
  if (process.pid !== 1 || whyNoReaping() !== undefined) return;
  process.on("SIGCHLD", () => {
    for (const pid of endedChildren()) if (!started.has(pid)) reap(pid);
  });
}

/** Child processes of this one that have ended, and whose exit status nobody has taken. */
function endedChildren(): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      if (!(pid > 0)) return false;
      try {
        // The name of a process, in parentheses, may have spaces and parentheses.
        const [, state, parent] = /.*\) (\S) (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, "latin1")) ?? [];
        return state === "Z" && Number(parent) === process.pid;
      } catch {
        return false;
      }
    });
}
