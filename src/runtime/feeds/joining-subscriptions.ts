/**
 * The subscriptions of a feed that read what they missed, and the newest publications, which are remembered for them.
 * `Feed` has one `JoiningSubscriptions`.
 */
import type { StreamRecord } from "../streams/publication.ts";
import { Recent } from "./recent.ts";
import type { StreamSubscription } from "./stream-subscription.ts";

/** While no subscription is joining, nothing is remembered. */
export class JoiningSubscriptions {
  readonly #all = new Set<StreamSubscription>();
  /** Joining subscriptions whose read was ahead of the feed. They go live when the feed has come as far. */
  readonly #ahead = new Set<StreamSubscription>();
  readonly #recent = new Recent();

  /** Remembers what is published from now on for a subscription. */
  add(subscription: StreamSubscription): void {
    this.#all.add(subscription);
  }

  delete(subscription: StreamSubscription): void {
    this.#ahead.delete(subscription);
    this.#all.delete(subscription);
    if (this.#all.size === 0) this.#recent.clear();
  }

  /** Returns all subscriptions that are joining now. */
  all(): StreamSubscription[] {
    return [...this.#all];
  }

  /** Remembers a publication if a subscription is joining. Returns true if there is one. */
  remember(record: StreamRecord): boolean {
    if (this.#all.size === 0) return false;
    this.#recent.add(record);
    return true;
  }

  /** Forgets what is remembered. */
  forget(): void {
    this.#recent.clear();
  }

  /** True if a publication is remembered. */
  get remembersAny(): boolean {
    return this.#recent.all.length > 0;
  }

  /** Newest publication that is remembered. */
  get newest(): StreamRecord | undefined {
    return this.#recent.all.at(-1);
  }

  /** Returns all publications after an offset; undefined if they aren't all remembered. */
  since(offset: number): readonly StreamRecord[] | undefined {
    return this.#recent.since(offset);
  }

  /**
   * Keeps a publication that isn't stored for each subscription. Returns the number of subscriptions without room for
   * it.
   *
   * @param after offset of the stored publication before
   */
  hold(record: StreamRecord, after: number): number {
    let refused = 0;
    for (const subscription of this.#all) {
      const isHeld = subscription.phase === "joining" && subscription.hold(record, after);
      if (!isHeld) refused++;
    }
    return refused;
  }

  // ── ahead of the feed ──────────────────────────────────────────────────────────────────────────────────

  /** True if a subscription is ahead of the feed. */
  get hasAhead(): boolean {
    return this.#ahead.size > 0;
  }

  /** Returns the subscriptions that are ahead of the feed now. */
  ahead(): StreamSubscription[] {
    return [...this.#ahead];
  }

  isAhead(subscription: StreamSubscription): boolean {
    return this.#ahead.has(subscription);
  }

  /** Lets a subscription wait until the feed has come as far. */
  addAhead(subscription: StreamSubscription): void {
    this.#ahead.add(subscription);
  }

  deleteAhead(subscription: StreamSubscription): void {
    this.#ahead.delete(subscription);
  }
}
