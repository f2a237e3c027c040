/**
 * The subscriptions of a feed that read what they missed, and the newest publications, which are remembered for them.
 * `FeedSubscriptions` has one `JoiningSubscriptions`.
 */
import type { StreamRecord } from "../../streams/publication.ts";
import type { StreamSubscription } from "../stream-subscription.ts";
import { Recent } from "./recent.ts";
import { UnstoredLog, type UnstoredPublication } from "./unstored-log.ts";

/** While no subscription is joining, nothing is remembered. */
export class JoiningSubscriptions {
  readonly #all = new Set<StreamSubscription>();
  /** Joining subscriptions whose read was ahead of the feed. They go live when the feed has come as far. */
  readonly #ahead = new Set<StreamSubscription>();
  readonly #recent = new Recent();
  readonly #unstored = new UnstoredLog();

  /** Remembers what is published from now on for a subscription. */
  add(subscription: StreamSubscription): void {
    this.#all.add(subscription);
  }

  /** Adds a subscription that is to get the publications that aren't stored, too: from now on, or from a number on. */
  begin(subscription: StreamSubscription, unstored = this.nextUnstored): void {
    subscription.nextUnstored = unstored;
    this.#all.add(subscription);
  }

  delete(subscription: StreamSubscription): void {
    this.#ahead.delete(subscription);
    this.#all.delete(subscription);
    if (this.#all.size === 0) this.forget();
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
    this.#unstored.clear();
  }

  /** Newest publication that is remembered. */
  get newest(): StreamRecord | undefined {
    return this.#recent.all.at(-1);
  }

  /** Returns all publications after an offset; undefined if they aren't all remembered. */
  since(offset: number): readonly StreamRecord[] | undefined {
    return this.#recent.since(offset);
  }

  // ── publications that aren't stored ────────────────────────────────────────────────────────────────────

  /** Remembers a publication if a subscription is joining. */
  rememberUnstored(record: StreamRecord, after: number): void {
    if (this.#all.size === 0) this.#unstored.pass();
    else this.#unstored.add({ record, after });
  }

  /** Number of the next publication. */
  get nextUnstored(): number {
    return this.#unstored.next;
  }

  /** Returns a publication by its number; undefined if that isn't remembered, or comes later. */
  unstoredAt(number: number): UnstoredPublication | undefined {
    return this.#unstored.at(number);
  }

  /** Returns how many publications, from a number on, aren't remembered any more. */
  unstoredMissedFrom(number: number): number {
    return this.#unstored.missedFrom(number);
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
