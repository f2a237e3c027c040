/** What the page of the deploy demo saw, as figures for its table and its chart. */

/** A message: number of the connection, time of its receipt in ms, and version of the server. */
export type Message = readonly [connection: number, at: number, version: number];

/** What the page has recorded. */
export interface Seen {
  readonly messages: readonly Message[];
  /** Messages that were lost or came twice. */
  readonly wrong: number;
  readonly closed: number;
}

/** One replacement, from the first connection that changed to the last. */
export interface Replacement {
  readonly version: number;
  /** Time of the first message of the new version, in ms. */
  readonly at: number;
  /**
   * Time between the last message of the old version and the first of the new one, for each connection, in ms; in
   * ascending order.
   */
  readonly pausesMs: readonly number[];
}

export const BUCKET_MS = 50;

/** Number of messages in each 50 ms from the first message on. */
export function buckets({ messages }: Seen): number[] {
  const start = startOf(messages);
  const counts: number[] = [];
  for (const [, at] of messages) {
    const bucket = Math.floor((at - start) / BUCKET_MS);
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  }
  // The last one isn't full.
  return Array.from(counts, (count = 0) => count).slice(0, -1);
}

export function startOf(messages: readonly Message[]): number {
  return messages[0]?.[1] ?? 0;
}

export function replacements({ messages }: Seen): Replacement[] {
  const last = new Map<number, Message>();
  const found = new Map<number, { at: number; pausesMs: number[] }>();
  for (const message of messages) {
    const [connection, at, version] = message;
    const before = last.get(connection);
    last.set(connection, message);
    if (before === undefined || before[2] === version) continue;
    const one = found.get(version) ?? { at, pausesMs: [] };
    found.set(version, one);
    one.pausesMs.push(at - before[1]);
  }
  return Array.from(found, ([version, { at, pausesMs }]) => {
    return { version, at, pausesMs: pausesMs.toSorted((a, b) => a - b) };
  });
}

/** Longest time without a message on one connection while no replacement was under way, in ms. */
export function longestQuietMs({ messages }: Seen): number {
  const last = new Map<number, Message>();
  let longest = 0;
  for (const message of messages) {
    const [connection, at, version] = message;
    const before = last.get(connection);
    last.set(connection, message);
    if (before?.[2] === version) longest = Math.max(longest, at - before[1]);
  }
  return longest;
}
