/**
 * Publications to a topic with history that aren't stored: they have no offset, and move no subscription.
 * `FeedSubscriptions` has one `UnstoredPublications`.
 */
import type { StreamRecord } from "../../streams/publication.ts";
import type { LiveSubscriptions } from "../live-subscriptions.ts";
import type { StreamSubscription } from "../stream-subscription.ts";
import type { JoiningSubscriptions } from "./joining-subscriptions.ts";

/** The part of a feed that these publications use. */
export interface UnstoredFeed {
  readonly topic: string;
  readonly live: LiveSubscriptions;
  readonly joining: JoiningSubscriptions;
  /** Publications don't reach a subscription: its peer reads too slowly, or too many had to wait. */
  dropped(count: number): void;
  /** The `encode` of a subscription threw. */
  failed(subscription: StreamSubscription, error: unknown): void;
}

export class UnstoredPublications {
  readonly #feed: UnstoredFeed;
  #isDelivering = false;

  constructor(feed: UnstoredFeed) {
    this.#feed = feed;
  }

  /** True while a publication that isn't stored is delivered. */
  get isDelivering(): boolean {
    return this.#isDelivering;
  }

  /**
   * Delivers a publication to the live subscriptions, and remembers it for those that are joining.
   *
   * @param after offset of the stored publication before
   */
  deliver(record: StreamRecord, after: number): void {
    const { live, joining, failed } = this.#feed;
    joining.rememberUnstored(record, after);
    this.#isDelivering = true;
    try {
      live.deliver(record, "", false, failed);
    } finally {
      this.#isDelivering = false;
    }
  }

  /**
   * Delivers the publications for which a subscription has waited. Those from before its place would come out of order,
   * and aren't delivered. A subscription that is behind gets none.
   *
   * @param before offset of the stored publication that comes next. Default: none comes
   */
  deliverHeld(subscription: StreamSubscription, before = Number.POSITIVE_INFINITY): void {
    const { joining } = this.#feed;
    if (subscription.phase === "behind") return;
    this.#skipMissed(subscription);
    for (;;) {
      const publication = joining.unstoredAt(subscription.nextUnstored);
      if (publication === undefined || publication.after >= before) return;
      subscription.nextUnstored++;
      if (publication.after >= subscription.offset) this.#deliverTo(subscription, publication.record);
      if (subscription.hasEnded) return;
    }
  }

  /** Drops the publications that a subscription has missed while it was behind. */
  skip(subscription: StreamSubscription): void {
    const { joining, dropped } = this.#feed;
    const missed = joining.nextUnstored - subscription.nextUnstored;
    if (missed > 0) dropped(missed);
    subscription.nextUnstored = joining.nextUnstored;
  }

  #skipMissed(subscription: StreamSubscription): void {
    const missed = this.#feed.joining.unstoredMissedFrom(subscription.nextUnstored);
    if (missed === 0) return;
    subscription.nextUnstored += missed;
    this.#feed.dropped(missed);
  }

  #deliverTo(subscription: StreamSubscription, record: StreamRecord): void {
    const { live, topic, failed } = this.#feed;
    this.#isDelivering = true;
    try {
      const frame = live.frameOf(subscription.encode, record, "");
      if (frame !== undefined) subscription.deliver(frame, topic);
    } catch (error) {
      failed(subscription, error);
    } finally {
      this.#isDelivering = false;
    }
  }
}
