/**
 * Publications to a topic with history that aren't stored: they have no offset, and move no subscription. `Feed` has
 * one `UnstoredPublications`.
 */
import type { Frame } from "../../wire/protocol/frame.ts";
import type { StreamRecord } from "../streams/publication.ts";
import type { JoiningSubscriptions } from "./joining-subscriptions.ts";
import type { LiveSubscriptions } from "./live-subscriptions.ts";
import type { StreamSubscription } from "./stream-subscription.ts";

/** The part of a feed that these publications use. */
export interface UnstoredFeed {
  readonly topic: string;
  readonly live: LiveSubscriptions;
  readonly joining: JoiningSubscriptions;
  /** A publication doesn't reach a subscription, because its peer reads too slowly. */
  dropped(): void;
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
   * Delivers a publication to the live subscriptions, and keeps it for those that are joining. A subscription that is
   * behind doesn't get it.
   *
   * @param after offset of the stored publication before
   */
  deliver(frame: Frame, after: number): void {
    const { live, joining, failed, dropped } = this.#feed;
    const record: StreamRecord = { offset: 0, timeMs: Date.now(), frame };
    this.#isDelivering = true;
    try {
      live.deliver(record, "", false, failed);
    } finally {
      this.#isDelivering = false;
    }
    for (let refused = joining.hold(record, after); refused > 0; refused--) dropped();
  }

  /**
   * Delivers what was kept for a subscription.
   *
   * @param before offset of the stored publication that comes next. Default: none comes
   */
  deliverHeld(subscription: StreamSubscription, before?: number): void {
    const { live, topic, failed } = this.#feed;
    for (const record of subscription.takeHeld(before)) {
      if (subscription.hasEnded) return;
      try {
        const frame = live.frameOf(subscription.encode, record, "");
        this.#isDelivering = true;
        if (frame !== undefined) subscription.deliver(frame, topic);
      } catch (error) {
        failed(subscription, error);
      } finally {
        this.#isDelivering = false;
      }
    }
  }
}
