/** Adds up what shards report of their channels: the first subscriber and the last one of the whole node. */
import type { ClientReport } from "../client/client-server.ts";

export interface OccupancyOwner {
  occupied(channel: string): void;
  vacated(channel: string): void;
}

export class OccupancyReports {
  /** Shards with subscribers, by channel. */
  readonly #shards = new Map<string, Set<number>>();
  readonly #owner: OccupancyOwner;

  constructor(owner: OccupancyOwner) {
    this.#owner = owner;
  }

  reported(shard: number, { kind, channel }: ClientReport & { readonly kind: "occupied" | "vacated" }): void {
    if (kind === "vacated") {
      this.#left(shard, channel);
      return;
    }
    const shards = this.#shards.get(channel);
    if (shards !== undefined) {
      shards.add(shard);
      return;
    }
    this.#shards.set(channel, new Set([shard]));
    this.#owner.occupied(channel);
  }

  /** The shard's thread ended, and its clients with it. */
  shardLost(shard: number): void {
    for (const channel of [...this.#shards.keys()]) this.#left(shard, channel);
  }

  #left(shard: number, channel: string): void {
    const shards = this.#shards.get(channel);
    if (shards === undefined || !shards.delete(shard) || shards.size > 0) return;
    this.#shards.delete(channel);
    this.#owner.vacated(channel);
  }
}
