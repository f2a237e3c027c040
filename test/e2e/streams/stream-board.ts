/** Boards with topics that have history or presence, on two shards. Used by the tests beside this file. */
import { once } from "node:events";
import type { PresenceEvent, Stored, Switchboard } from "../../../src/index.ts";
import { startBoard, type TestBoardOptions } from "../../support/board.ts";
import type { StreamClient } from "../support/stream-client.ts";

const TOPICS = {
  "room:*": { history: { size: 1_000 } },
  "short:*": { history: { size: 4 } },
  "price:*": { history: { size: 1 } },
  death: { history: { size: 1 } },
  standstill: { history: { size: 1 } },
  "lounge:*": { history: { size: 10 }, presence: { leaveGraceMs: 0 } },
  "hall:*": { presence: { leaveGraceMs: 60_000 } },
};

export function start(options: TestBoardOptions = {}): Promise<{ board: Switchboard; port: number }> {
  return startBoard({ actor: "remembering", shards: 2, topics: TOPICS, ...options });
}

/** Resolves at an event of a board. */
export function event(board: Switchboard, name: string): Promise<unknown[]> {
  return once(board as unknown as NodeJS.EventEmitter, name);
}

export async function publish(board: Switchboard, topic: string, ...texts: string[]): Promise<Stored[]> {
  const results = texts.map((text) => board.publish(topic, text).stored);
  return (await Promise.all(results)) as Stored[];
}

export function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** Returns a counter of all shards together. */
export function sum(board: Switchboard, counter: "subscriptionsBehind" | "subscriptionsLost" | "conflated"): number {
  return board.stats().shards.reduce((total, shard) => total + shard[counter], 0);
}

/** Returns the changes of presence that a client was told: kind, user, and whether the change is one of the user. */
export function changes({ presence }: StreamClient): unknown[] {
  return presence.map((one: PresenceEvent) =>
    one.kind === "missed" ? [one.kind] : [one.kind, one.member.user, one.ofUser],
  );
}
