/** What the system says about Unix sockets, for tests in which a process is stopped. */
import { readFileSync } from "node:fs";

/**
 * Number of sockets of a listening socket: itself, those that were accepted, and those that wait for that. Linux only.
 */
export function socketsAt(path: string): number {
  const lines = readFileSync("/proc/net/unix", "utf8").split("\n");
  return lines.filter((line) => line.endsWith(` ${path}`)).length;
}
