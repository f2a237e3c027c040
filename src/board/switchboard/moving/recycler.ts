/** Replaces the thread of a shard: on request, and by itself when the shard is above a bound. `Switchboard` has one. */
import { SwitchboardError } from "../../../errors.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import type { RecycleSettings } from "../options/recycle-options.ts";
import type { RenewalSettings } from "../options/reload-options.ts";
import type { ShardPool } from "../pool/shard-pool.ts";
import { type RecycleReason, RecycleWatch } from "./recycle-watch.ts";
import type { RenewalResult } from "./renewals.ts";

/** A shard that runs in a new thread. */
export interface RecycledShard extends RenewalResult {
  readonly shard: number;
  readonly reason: RecycleReason;
}

/** A shard that was to be recycled by itself, and goes on in its thread. */
export interface RecycleFailure {
  readonly shard: number;
  readonly reason: RecycleReason;
  /** Why the new thread couldn't start. */
  readonly error: Error;
}

export interface RecyclerOwner {
  pool(): ShardPool;
  recycled(result: RecycledShard): void;
  failed(failure: RecycleFailure): void;
}

const INTERVAL_MS = 1_000;

export class Recycler {
  readonly #owner: RecyclerOwner;
  readonly #timer: NodeJS.Timeout | undefined;

  /** @param settings undefined if no shard is recycled by itself */
  constructor(owner: RecyclerOwner, settings: RecycleSettings | undefined) {
    this.#owner = owner;
    if (settings === undefined) return;
    const watch = new RecycleWatch(settings.bounds);
    this.#timer = setInterval(() => this.#check(watch, settings.renewal), INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Replaces the thread of a shard. Rejects as `ShardPool.recycle` does. */
  async recycle(shard: number, renewal: RenewalSettings, reason: RecycleReason = "request"): Promise<RenewalResult> {
    const result = await this.#owner.pool().recycle(shard, renewal);
    this.#owner.recycled({ shard, reason, ...result });
    return result;
  }

  #check(watch: RecycleWatch, renewal: RenewalSettings): void {
    const pool = this.#owner.pool();
    if (pool.moveGate.isBusy) return;
    const due = watch.next(
      performance.now(),
      pool.handles.filter(({ takesConnections }) => takesConnections),
    );
    if (due === undefined) return;
    const { shard, reason } = due;
    this.recycle(shard, renewal, reason)
      .catch((error: Error) => {
        const isClosing = error instanceof SwitchboardError && error.code === "ERR_CLOSED";
        if (!isClosing) this.#owner.failed({ shard, reason, error });
      })
      .finally(() => watch.recycled(shard, performance.now()))
      .catch(noop);
  }
}
