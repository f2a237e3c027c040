/**
 * One shard over all its threads: the current thread, the counters of all, and the restarts. `ShardPool` has one for
 * each shard.
 */
import type { Counters, ShardCounts } from "../../../runtime/stats/counters.ts";
import type { UpgradeCounts } from "../../../runtime/stats/upgrade-counters.ts";
import type { ActorName } from "../../connection/connection-host.ts";
import { CounterHistory } from "./counter-history.ts";
import { Restarts } from "./restarts.ts";
import type { ShardHandle } from "./shard-handle.ts";
import type { ShardLoss } from "./shard-loss.ts";

/**
 * - `starting`: starts for the first time.
 * - `ready`: takes connections.
 * - `closing`: the board is closing.
 * - `restarting`: died, and is started again soon or just now.
 * - `failed`: died so often that it isn't started again.
 * - `closed`: the board is closed.
 */
export type ShardState = "starting" | "ready" | "closing" | "restarting" | "failed" | "closed";

export interface ShardSlotOwner {
  /** A shard's thread ended unexpectedly, and its connections with it. */
  shardLost(loss: ShardLoss): void;
  /** A new thread runs in the place of a lost one. */
  shardReplaced(shard: number): void;
  /** A shard died so often that it isn't started again. */
  shardFailed(loss: ShardLoss): void;
}

export class ShardSlot {
  readonly #launch: (counters: Counters) => ShardHandle;
  readonly #owner: ShardSlotOwner;
  readonly #history: CounterHistory;
  #restarts = new Restarts();
  #current: ShardHandle;
  /** Timer of the next start after a death. */
  #timer: NodeJS.Timeout | undefined;
  #isClosing = false;

  /**
   * @param actors names of the board's actor modules
   * @param launch starts a thread of the shard
   */
  constructor(actors: readonly ActorName[], launch: (counters: Counters) => ShardHandle, owner: ShardSlotOwner) {
    this.#history = new CounterHistory(actors);
    this.#launch = launch;
    this.#owner = owner;
    this.#current = launch(this.#history.current);
  }

  /** The current thread of the shard. The thread may have ended. */
  get current(): ShardHandle {
    return this.#current;
  }

  state(): ShardState {
    switch (this.#current.phase) {
      case "ready":
        return "ready";
      case "stopping":
        return "closing";
      case "starting":
        return this.#restarts.died ? "restarting" : "starting";
      case "ended":
        if (this.#restarts.failed) return "failed";
        return this.#isClosing ? "closed" : "restarting";
    }
  }

  /** Counters of the shard, over all its threads. */
  counters(): ShardCounts {
    // A blocked shard can't write its own delay.
    const { eventLoopDelayMs } = this.#current;
    return { ...this.#history.total().snapshot(), eventLoopDelayMs };
  }

  /** Outcomes of handshakes in the shard, over all its threads. */
  upgrades(): UpgradeCounts {
    return this.#history.total().upgrades.snapshot();
  }

  /** Returns counters for a thread that is to replace the current one. */
  createCounters(): Counters {
    return this.#history.create();
  }

  /** Puts a new thread, with counters of its own, in the place of the current one. Returns the one that it replaces. */
  replace(handle: ShardHandle, counters: Counters): ShardHandle {
    clearTimeout(this.#timer);
    const old = this.#current;
    const oldCounters = this.#history.current;
    this.#history.replace(counters);
    this.#current = handle;
    this.#restarts = new Restarts();
    void old.ended.then(() => this.#history.retired(oldCounters));
    return old;
  }

  /** The thread of the shard has been replaced by a recycling. */
  recycled(): void {
    this.#history.current.add("recycled");
  }

  /** Starts the shard again after its delay, unless it died too often, or another thread has its place. */
  lost(handle: ShardHandle, loss: ShardLoss): void {
    if (this.#isClosing) return;
    if (this.#current !== handle) {
      // A new thread that can't start is told by the rejection of the reload.
      if (handle.wasReady) this.#owner.shardLost(loss);
      return;
    }
    const delayMs = this.#restarts.countDeath(performance.now());
    this.#owner.shardLost(loss);
    if (delayMs === undefined) this.#owner.shardFailed(loss);
    else this.#timer = setTimeout(() => this.#restart(), delayMs);
  }

  #restart(): void {
    this.#current = this.#launch(this.#history.current);
    this.#current.ready.then(
      () => this.#owner.shardReplaced(this.#current.shard),
      // Reported as the next loss.
      () => {},
    );
  }

  /** The board is closing, or couldn't start: the shard isn't started again. */
  closing(): void {
    this.#isClosing = true;
    clearTimeout(this.#timer);
  }
}
