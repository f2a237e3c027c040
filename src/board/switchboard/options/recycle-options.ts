/** The option `recycle` of `Switchboard.start`, and the options of `board.recycle`: types, defaults and checks. */
import { optionError } from "../../../wire/handshake/option-check.ts";
import type { RecycleBounds } from "../moving/recycle-watch.ts";
import { check, withoutUndefined } from "./option-validation.ts";
import { type ReloadOptions, type RenewalSettings, renewalSettings } from "./reload-options.ts";

/** Options for the connections that can't move, as in a reload. */
export type RecycleOptions = Omit<ReloadOptions, "actor" | "actors">;

/** Bounds at which the thread of a shard is replaced by itself. `maxMemoryMb` or `maxEventLoopDelayMs` is needed. */
export interface AutoRecycleOptions extends RecycleOptions {
  /** Memory of a shard's JavaScript objects and buffers (`memoryBytes` in `stats()`), in MiB. Default: no bound. */
  readonly maxMemoryMb?: number;
  /**
   * Delay of a shard's event loop, as a mean over about a second, in ms. Doesn't count while all shards are above it.
   * Default: no bound.
   */
  readonly maxEventLoopDelayMs?: number;
  /** Time for which a shard must be above a bound without a break. Default: 30 s. */
  readonly forMs?: number;
  /**
   * Least time between two recyclings of one shard. Doubles, up to 16 times, while a shard is above a bound soon after
   * it was recycled. Default: 10 min.
   */
  readonly minIntervalMs?: number;
}

export interface RecycleSettings {
  readonly bounds: RecycleBounds;
  readonly renewal: RenewalSettings;
}

const RENEWAL_OPTIONS = ["timeoutMs", "keepOldMs", "batchSize", "batchIntervalMs"] as const;
const MIB = 1024 * 1024;

/** Checks the options of `board.recycle`. Throws `ERR_OPTION`. */
export function checkRecycleOptions(options: RecycleOptions): RenewalSettings {
  check("recycle", options, RENEWAL_OPTIONS);
  return renewalSettings(withoutUndefined(options));
}

/** Checks the option `recycle` of `start`. Throws `ERR_OPTION`. */
export function checkAutoRecycle(options: AutoRecycleOptions | undefined): RecycleSettings | undefined {
  if (options === undefined) return undefined;
  const call = "Switchboard.start: recycle";
  check(call, options, ["maxMemoryMb", "maxEventLoopDelayMs", "forMs", "minIntervalMs", ...RENEWAL_OPTIONS]);
  const {
    maxMemoryMb,
    maxEventLoopDelayMs,
    forMs = 30_000,
    minIntervalMs = 600_000,
    ...renewal
  } = withoutUndefined(options);
  if (maxMemoryMb === undefined && maxEventLoopDelayMs === undefined) {
    throw optionError(`${call} needs maxMemoryMb or maxEventLoopDelayMs`);
  }
  const bounds = {
    maxMemoryBytes: (maxMemoryMb ?? Number.POSITIVE_INFINITY) * MIB,
    maxEventLoopDelayMs: maxEventLoopDelayMs ?? Number.POSITIVE_INFINITY,
    forMs,
    minIntervalMs,
  };
  return { bounds, renewal: renewalSettings(renewal) };
}
