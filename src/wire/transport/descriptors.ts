/**
 * How many descriptors the process has left, told by the number of a socket's own: the system gives the lowest number that is free. Used where
 * sockets are accepted and upgraded, so that connections never take the last descriptors: at the limit of open files the system refuses to
 * accept or to move a socket without a word, and libuv may spin over the sockets that wait.
 */
import { readFileSync } from "node:fs";
import type { Duplex } from "node:stream";
import { SwitchboardError } from "../../errors.ts";

/**
 * - `enough`: the socket may become a connection.
 * - `few`: it is among the last: there is room to refuse it with an answer.
 * - `none`: it is to be closed at once.
 */
export type DescriptorRoom = "enough" | "few" | "none";

/** Most descriptors that are kept for everything but connections; of a low limit, an eighth. */
const MAX_RESERVE = 64;

/** How long a limit that was read is believed once descriptors are few: it may be raised meanwhile (`prlimit`). */
const REREAD_MS = 1_000;

let limit = Number.POSITIVE_INFINITY;
let readAt = Number.NEGATIVE_INFINITY;
refresh();

/** Judges a socket by the number of its descriptor; `enough` for what has none, such as a stream of HTTP/2. */
export function descriptorRoom(socket: Duplex | { readonly _handle: object | null }): DescriptorRoom {
  const { _handle: handle } = socket as { readonly _handle?: { readonly fd?: number } | null };
  const descriptor = handle?.fd ?? -1;
  if (descriptor < limit - reserve()) return "enough";
  refresh();
  if (descriptor < limit - reserve()) return "enough";
  return descriptor < limit - reserve() / 2 ? "few" : "none";
}

/** Why a socket was refused that `descriptorRoom` has no room for. */
export function outOfDescriptors(): SwitchboardError {
  const message = `connections are refused: all but the last of the ${limit} files that the process may open are in use (ulimit -n)`;
  return new SwitchboardError("ERR_OUT_OF_DESCRIPTORS", message);
}

function reserve(): number {
  return Math.min(MAX_RESERVE, limit / 8);
}

/** Reads the soft limit of open files. Where `/proc` doesn't have it (macOS), only a failed move shows that no descriptor is left. */
function refresh(): void {
  const now = performance.now();
  if (now - readAt < REREAD_MS) return;
  readAt = now;
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1")) ?? [];
    if (soft !== undefined) limit = Number(soft);
  } catch {
    // No descriptor is left to read it with, or no such file: the limit is still what it was.
  }
}
