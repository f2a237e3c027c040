/** Ends of processes that this one hasn't started. `switchboard run` uses it as the first process of a container. */
import { bind, type CFunction, whyNoLibc } from "./libc.ts";

const WAITPID = { return: "int32", arguments: ["int32", "pointer", "int32"] } as const;
const WNOHANG = 1;

let waitpid: CFunction<typeof WAITPID> | undefined;
const status = Buffer.alloc(4);

/** Tells in one sentence why ended processes can't be reaped here. Undefined if they can. */
export function whyNoReaping(): string | undefined {
  return process.platform === "linux" ? whyNoLibc() : "orphans are reaped on Linux only";
}

/**
 * Takes the exit status of a child process that has ended, so that the system forgets the process. Never waits. Returns
 * false for a process that still runs or isn't a child. The process must not be one that Node has started: Node would
 * wait for its end for ever.
 */
export function reap(pid: number): boolean {
  waitpid ??= bind("waitpid", WAITPID);
  return waitpid(pid, status, WNOHANG) === pid;
}
