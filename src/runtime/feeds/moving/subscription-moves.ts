/**
 * Moves the subscriptions to a stream when connections move to another thread. `Feed` has one `SubscriptionMoves`,
 * which `Membership`, `Feeds` and `ComingTopics` call.
 */
import { noop } from "../../../wire/protocol/empty.ts";
import type { Position } from "../../streams/position.ts";
import type { JoiningSubscriptions } from "../joining-subscriptions.ts";
import type { LiveSubscriptions } from "../live-subscriptions.ts";
import type { HeldPublication, StreamSubscriber, StreamSubscription } from "../stream-subscription.ts";

/** The part of a feed that moves use. */
export interface MovingFeed {
  /** Place of the feed in its stream. */
  readonly place: Position;
  readonly live: LiveSubscriptions;
  readonly joining: JoiningSubscriptions;
  /** Returns a new subscription, for which the feed is held. */
  create(subscriber: StreamSubscriber): StreamSubscription;
  /** Brings a subscription from its place to the feed's, and makes it live. */
  settle(subscription: StreamSubscription): void;
  /** Lets a subscription read what it misses from the history. */
  fallBehind(subscription: StreamSubscription): void;
}

const NOBODY: StreamSubscriber = {
  deliverPublication: () => "closed",
  whenDrained: () => Promise.resolve(),
  streamLost: noop,
  encodeFailed: noop,
  presenceChanged: noop,
};

export class SubscriptionMoves {
  readonly #feed: MovingFeed;

  constructor(feed: MovingFeed) {
    this.#feed = feed;
  }

  /** Stops the deliveries to a subscription that is about to move. Then call `goOn`, or `Feed.unsubscribe`. */
  pause(subscription: StreamSubscription): void {
    if (subscription.hasEnded) return;
    const { live, joining, place } = this.#feed;
    subscription.isPaused = true;
    if (subscription.phase !== "live") return;
    live.delete(subscription);
    subscription.moveTo(place);
    subscription.phase = "joining";
    joining.add(subscription);
  }

  /** Lets a subscription that was paused go on at its place. */
  goOn(subscription: StreamSubscription): void {
    if (!subscription.isPaused) return;
    const { joining, place } = this.#feed;
    subscription.isPaused = false;
    if (subscription.phase !== "joining") return;
    if (joining.remembersAny || !subscription.isBefore(place)) this.#feed.settle(subscription);
    else this.#feed.fallBehind(subscription);
  }

  /**
   * Adds a subscription that comes from another thread, paused. Then call `begin` and `goOn`.
   *
   * @param place last publication that its connection was given
   */
  arrive(subscriber: StreamSubscriber, place: Position): StreamSubscription {
    const subscription = this.#feed.create(subscriber);
    subscription.isPaused = true;
    subscription.moveTo(place);
    return subscription;
  }

  /** Remembers what is published from now on for a subscription that has come. The subscription stays paused. */
  begin(subscription: StreamSubscription, held: readonly HeldPublication[] = []): void {
    if (subscription.hasEnded) return;
    this.#feed.joining.add(subscription);
    for (const { record, after } of held) subscription.hold(record, after);
  }

  /** Returns a subscription of nobody, for which the feed remembers once it has begun. */
  shadow(): StreamSubscription {
    return this.arrive(NOBODY, { epoch: "", offset: 0 });
  }
}
