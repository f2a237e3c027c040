import type { ShardCounts } from "../../runtime/stats/counters.ts";
import type { UpgradeCounts } from "../../runtime/stats/upgrade-counters.ts";
import type { ShardState } from "./pool/shard-pool.ts";

export interface ShardStats extends ShardCounts {
  readonly shard: number;
  readonly state: ShardState;
  /** Whether it takes connections. */
  readonly ready: boolean;
  /** Whether it died so often that it isn't started again. */
  readonly failed: boolean;
}

export interface Stats {
  /** Open now, on all shards. */
  readonly connections: number;
  readonly upgrades: Readonly<UpgradeCounts>;
  /** Publishes by `board.publish` lost on the way to a shard that was too far behind. */
  readonly publishesDropped: number;
  /** Mail of `board.tell` and `board.ask` that found nobody there. */
  readonly deadLetters: number;
  /** Sockets that the main thread refused or couldn't accept, because few descriptors are left. */
  readonly acceptsFailed: number;
  readonly shards: readonly ShardStats[];
}
