/** Decides whether a process can be taken over by another, before anything is stopped. */
import { readdirSync, readFileSync } from "node:fs";
import { serialize } from "node:v8";
import { TAKEOVER_PROTOCOL, type TakeoverFacts } from "./messages.ts";

/** Descriptors that the successor has left for itself. */
const RESERVE = 64;

/** Facts of this process. */
export function ownFacts({
  moves,
  shards,
  state,
  takesProgramState,
}: Pick<TakeoverFacts, "moves" | "shards" | "state" | "takesProgramState">): TakeoverFacts {
  // The second byte of everything that is serialized.
  const format = serialize(null)[1] ?? 0;
  return {
    protocol: TAKEOVER_PROTOCOL,
    node: process.versions.node,
    format,
    moves,
    room: descriptorsLeft(),
    shards,
    state,
    takesProgramState,
  };
}

/**
 * Tells in one sentence why `successor` can't take over from `predecessor`; undefined if it can.
 *
 * @param needed number of descriptors that are to be passed
 */
export function whyIncompatible(
  predecessor: TakeoverFacts,
  successor: TakeoverFacts,
  needed: number,
): string | undefined {
  if (successor.protocol !== predecessor.protocol) {
    return `the old process speaks version ${predecessor.protocol} of the takeover protocol, the new one version ${successor.protocol}`;
  }
  if (successor.format < predecessor.format) {
    return `Node ${successor.node} can't read what Node ${predecessor.node} serializes`;
  }
  for (const [name, moves] of Object.entries(predecessor.moves)) {
    if (moves === null) continue;
    const actor = name === "" ? "the actor" : `the actor "${name}"`;
    const theirs = successor.moves[name];
    if (theirs === undefined) return `${actor} is missing in the new process`;
    if (theirs === null) return `${actor} has \`static moves\` in the old process and not in the new one`;
    if (theirs < moves)
      return `${actor} has \`static moves = ${moves}\` in the old process and ${theirs} in the new one`;
  }
  if (successor.shards < predecessor.shards) {
    return `the old process has ${predecessor.shards} shards and the new one ${successor.shards}: addresses name shards, so there can't be fewer`;
  }
  if (needed + RESERVE > successor.room) {
    const missing = needed + RESERVE - successor.room;
    return `${needed} files are to be passed, and ${RESERVE} must be left for others, but the new process can open only ${successor.room} more: raise its limit (ulimit -n) by ${missing} or more`;
  }
  return undefined;
}

/** Number of files that this process can still open; infinite where that can't be told. */
function descriptorsLeft(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1")) ?? [];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft) - readdirSync("/proc/self/fd").length;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
