/** The result of `board.stats()`. */
import type { ShardCounts } from "../../runtime/stats/counters.ts";
import type { UpgradeCounts } from "../../runtime/stats/upgrade-counters.ts";
import type { EngineState, EngineStats } from "./board-topics.ts";
import type { ClusterStats } from "./cluster/node-list.ts";
import type { ShardPool } from "./pool/shard-pool.ts";
import type { ShardState } from "./pool/shard-slot.ts";
import type { SocketsChoice } from "./sockets-choice.ts";

export interface ShardStats extends ShardCounts {
  readonly shard: number;
  readonly state: ShardState;
  /** True if the shard takes connections. */
  readonly ready: boolean;
  /** True if the shard died so often that it isn't started again. */
  readonly failed: boolean;
}

/** Returns the counters and the state of each shard. */
export function statsOf(pool: ShardPool): ShardStats[] {
  const states = pool.states();
  return pool.counters().map((counters, shard) => {
    const state = states[shard] as ShardState;
    return { shard, state, ready: state === "ready", failed: state === "failed", ...counters };
  });
}

export interface Stats {
  /** Number of open connections on all shards. */
  readonly connections: number;
  readonly upgrades: Readonly<UpgradeCounts>;
  /** Publishes of `board.publish` that were dropped because a shard was too far behind. */
  readonly publishesDropped: number;
  /** Publications of `board.publish` that the engine didn't store for certain. */
  readonly publishesFailed: number;
  /** Mail of `board.tell` and `board.ask` whose receiver was gone. */
  readonly deadLetters: number;
  /** Sockets that the main thread refused or couldn't accept, because few descriptors are left. */
  readonly acceptsFailed: number;
  /** The kind of sockets that the shards use, and the reason. */
  readonly sockets: SocketsChoice;
  /** The engine; undefined if the board has none. */
  readonly engine: EngineStats | undefined;
  /** The sum over all nodes, at most about 3 s old; undefined without an engine that other nodes share. */
  readonly cluster: ClusterStats | undefined;
  readonly shards: readonly ShardStats[];
}

/** The result of `board.health()`. */
export interface Health {
  /** True if the board is ready and its engine, if there is one, is up. */
  readonly ok: boolean;
  /** True while a shard takes connections and the board isn't closing. */
  readonly ready: boolean;
  /** The engine: `up`, `deaf` (connected, but nothing arrives) or `down`; undefined if the board has none. */
  readonly engine: EngineState | undefined;
}
