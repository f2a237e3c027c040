/**
 * Adds up what the threads of shards report of their channels: the first subscriber and the last one of the whole node.
 */
import type { ClientReport } from "../client/client-server.ts";

export interface OccupancyOwner {
  occupied(channel: string): void;
  vacated(channel: string): void;
}

/** A report about the clients of one thread. While a shard gets new code, two threads of the shard report. */
export type ThreadReport = ClientReport & { readonly thread: number };

export class OccupancyReports {
  /** Threads with subscribers, and their shards, by channel. */
  readonly #channels = new Map<string, Map<number, number>>();
  readonly #owner: OccupancyOwner;

  constructor(owner: OccupancyOwner) {
    this.#owner = owner;
  }

  reported(shard: number, { kind, channel, thread }: ThreadReport): void {
    const threads = this.#channels.get(channel);
    if (kind === "vacated") {
      if (threads?.delete(thread)) this.#check(channel, threads);
    } else if (threads !== undefined) {
      threads.set(thread, shard);
    } else {
      this.#channels.set(channel, new Map([[thread, shard]]));
      this.#owner.occupied(channel);
    }
  }

  /** A thread of the shard ended, and its clients with it. */
  shardLost(lost: number): void {
    for (const [channel, threads] of [...this.#channels]) {
      for (const [thread, shard] of [...threads]) if (shard === lost) threads.delete(thread);
      this.#check(channel, threads);
    }
  }

  #check(channel: string, threads: Map<number, number>): void {
    if (threads.size > 0) return;
    this.#channels.delete(channel);
    this.#owner.vacated(channel);
  }
}
