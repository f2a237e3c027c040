/** The result of `board.stats()`. */
import type { ShardCounts } from "../../runtime/stats/counters.ts";
import type { UpgradeCounts } from "../../runtime/stats/upgrade-counters.ts";
import type { ShardState } from "./pool/shard-pool.ts";

export interface ShardStats extends ShardCounts {
  readonly shard: number;
  readonly state: ShardState;
  /** True if the shard takes connections. */
  readonly ready: boolean;
  /** True if the shard died so often that it isn't started again. */
  readonly failed: boolean;
}

export interface Stats {
  /** Number of open connections on all shards. */
  readonly connections: number;
  readonly upgrades: Readonly<UpgradeCounts>;
  /** Publishes of `board.publish` that were dropped because a shard was too far behind. */
  readonly publishesDropped: number;
  /** Mail of `board.tell` and `board.ask` whose receiver was gone. */
  readonly deadLetters: number;
  /** Sockets that the main thread refused or couldn't accept, because few descriptors are left. */
  readonly acceptsFailed: number;
  readonly shards: readonly ShardStats[];
}
