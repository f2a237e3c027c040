/**
 * The timers of all clients of one shard. A timer of Node for each client would take more memory than all else that the
 * protocol keeps for an idle one: clients that are due within the same moment share a timer. `ClientServer` has one
 * `DeadlineClock`; the `Deadlines` of each client wait there.
 */
import { type Listed, UnorderedList } from "../../../runtime/scheduling/unordered-list.ts";

/** An object that waits for a time. */
export interface Waiting extends Listed {
  /** Called once, outside of any handler. */
  due(): void;
}

/** A timer may be late by this share of its delay, and not by more than `MAX_LATE_MS`. */
const LATE_SHARE = 1 / 32;
/** Longest lateness of a timer, in ms. Has to be a power of two. */
const MAX_LATE_MS = 512;
/** Longest delay of one timer of Node, in ms. An object that waits longer is called early. */
const MAX_DELAY_MS = 24 * 60 * 60 * 1_000;

interface Bucket {
  readonly waiting: UnorderedList<Waiting>;
  readonly timer: NodeJS.Timeout;
}

export class DeadlineClock {
  readonly #buckets = new Map<number, Bucket>();

  /** Lets `waiting` wait. Returns the time at which `due` is called, for `delete`, by `performance.now()` in ms. */
  add(waiting: Waiting, atMs: number): number {
    const now = performance.now();
    const delayMs = Math.min(Math.max(atMs - now, 0), MAX_DELAY_MS);
    const step = stepOf(delayMs);
    const dueAtMs = Math.ceil((now + delayMs) / step) * step;
    const bucket = this.#buckets.get(dueAtMs) ?? this.#open(dueAtMs, now);
    bucket.waiting.add(waiting);
    return dueAtMs;
  }

  /** @param dueAtMs what `add` returned */
  delete(waiting: Waiting, dueAtMs: number): void {
    const bucket = this.#buckets.get(dueAtMs);
    if (bucket === undefined || !bucket.waiting.delete(waiting) || bucket.waiting.length > 0) return;
    clearTimeout(bucket.timer);
    this.#buckets.delete(dueAtMs);
  }

  /** Number of timers of Node. */
  get timers(): number {
    return this.#buckets.size;
  }

  #open(dueAtMs: number, now: number): Bucket {
    const timer = setTimeout(() => this.#due(dueAtMs), Math.ceil(dueAtMs - now));
    const bucket = { waiting: new UnorderedList<Waiting>(), timer };
    this.#buckets.set(dueAtMs, bucket);
    return bucket;
  }

  #due(dueAtMs: number): void {
    const waiting = this.#buckets.get(dueAtMs)?.waiting;
    this.#buckets.delete(dueAtMs);
    for (let one = waiting?.pop(); one !== undefined; one = waiting?.pop()) one.due();
  }
}

/** Returns the distance of the timers for a delay: a power of two, so that timers of different delays coincide. */
function stepOf(delayMs: number): number {
  let step = 1;
  while (step < MAX_LATE_MS && step * 2 <= delayMs * LATE_SHARE) step *= 2;
  return step;
}
