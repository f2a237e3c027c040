/**
 * Number of descriptors that the process has left, judged by the number of a socket's descriptor: the system gives the
 * lowest number that is free. Acceptors and upgrades use it, so that connections never take the last descriptors: at
 * the limit of open files the system silently refuses to accept or to move a socket, and libuv may spin over waiting
 * sockets.
 */
import { closeSync, openSync, readFileSync } from "node:fs";
import { devNull } from "node:os";
import type { Duplex } from "node:stream";
import { SwitchboardError } from "../../errors.ts";
import { descriptorOf, type HandleOwner } from "../node-internals/net.ts";

/**
 * - `enough`: the socket may become a connection.
 * - `few`: the socket is among the last: there is room to refuse it with an answer.
 * - `none`: the socket is to be closed at once.
 */
export type DescriptorRoom = "enough" | "few" | "none";

/** Largest number of descriptors that connections may not use. Of a low limit, an eighth. */
const MAX_RESERVE = 64;

/** Milliseconds after which the limit is read again: it may have been changed (`prlimit`). */
const REREAD_MS = 1_000;

let limit = Number.POSITIVE_INFINITY;
let readAt = Number.NEGATIVE_INFINITY;
refresh();

/** Judges a socket by the number of its descriptor. `enough` for a stream without one, such as an HTTP/2 stream. */
export function descriptorRoom(socket: Duplex | HandleOwner): DescriptorRoom {
  return descriptorRoomOf(descriptorOf(socket));
}

/** Judges a socket by the number of its descriptor, as `descriptorRoom` does. */
export function descriptorRoomOf(descriptor: number): DescriptorRoom {
  refresh();
  if (descriptor < limit - reserve()) return "enough";
  return descriptor < limit - reserve() / 2 ? "few" : "none";
}

/** Returns the error for a socket that `descriptorRoom` has no room for. */
export function outOfDescriptors(): SwitchboardError {
  const message = `connections are refused: all but the last of the ${limit} files that the process may open are in use (ulimit -n)`;
  return new SwitchboardError("ERR_OUT_OF_DESCRIPTORS", message);
}

/** Returns the error for connections that the system has closed, because the process may open no file at all. */
export function noDescriptor(): SwitchboardError {
  const message = "the process may open no more files (ulimit -n): new connections are closed unanswered";
  return new SwitchboardError("ERR_OUT_OF_DESCRIPTORS", message);
}

/** True if the process may open one more file: to move, or to receive, a socket takes a descriptor for a moment. */
export function hasDescriptor(): boolean {
  try {
    closeSync(openSync(devNull, "r"));
    return true;
  } catch {
    return false;
  }
}

function reserve(): number {
  return Math.min(MAX_RESERVE, limit / 8);
}

/**
 * Reads the soft limit of open files, at most once a second. Without `/proc` (macOS), only a failed move shows that no
 * descriptor is left.
 */
function refresh(): void {
  const now = performance.now();
  if (now - readAt < REREAD_MS) return;
  readAt = now;
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1")) ?? [];
    if (soft !== undefined) limit = Number(soft);
  } catch {
    // No descriptor is left to read the file with, or there is no such file: the limit is what it was.
  }
}
