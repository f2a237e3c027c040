/**
 * Moves the subscriptions to a stream when connections move to another thread. `Feed` has one `SubscriptionMoves`,
 * which `Membership`, `Feeds` and `ComingTopics` call.
 */
import { noop } from "../../../wire/protocol/empty.ts";
import type { Position } from "../../streams/position.ts";
import type { FeedSubscriptions } from "../feed-subscriptions.ts";
import type { StreamSubscriber, StreamSubscription } from "../stream-subscription.ts";

const NOBODY: StreamSubscriber = {
  deliverPublication: () => "closed",
  whenDrained: () => Promise.resolve(),
  streamLost: noop,
  encodeFailed: noop,
  presenceChanged: noop,
};

export class SubscriptionMoves {
  readonly #subscriptions: FeedSubscriptions;
  readonly #hold: () => void;

  /** @param hold holds the feed for a subscription that comes */
  constructor(subscriptions: FeedSubscriptions, hold: () => void) {
    this.#subscriptions = subscriptions;
    this.#hold = hold;
  }

  /** Stops the deliveries to a subscription that is about to move. Then call `goOn`, or `FeedSubscriptions.end`. */
  pause(subscription: StreamSubscription): void {
    if (subscription.hasEnded) return;
    const { live, joining, place } = this.#subscriptions;
    subscription.isPaused = true;
    if (subscription.phase !== "live") return;
    live.delete(subscription);
    subscription.moveTo(place);
    subscription.phase = "joining";
    joining.begin(subscription);
  }

  /** Lets a subscription that was paused go on at its place. */
  goOn(subscription: StreamSubscription): void {
    if (!subscription.isPaused) return;
    subscription.isPaused = false;
    if (subscription.phase === "joining") this.#subscriptions.settle(subscription);
  }

  /**
   * Adds a subscription that comes from another thread, paused. Then call `begin` and `goOn`.
   *
   * @param place last publication that its connection was given
   */
  arrive(subscriber: StreamSubscriber, place: Position): StreamSubscription {
    const subscription = this.#subscriptions.create(subscriber, undefined);
    this.#hold();
    subscription.isPaused = true;
    subscription.moveTo(place);
    return subscription;
  }

  /**
   * Remembers what is published from now on for a subscription that has come. The subscription stays paused.
   *
   * @param nextUnstored number of the first publication that isn't stored. Default: the next one
   */
  begin(subscription: StreamSubscription, nextUnstored?: number): void {
    if (!subscription.hasEnded) this.#subscriptions.joining.begin(subscription, nextUnstored);
  }

  /** Returns a subscription of nobody, for which the feed remembers once it has begun. */
  shadow(): StreamSubscription {
    return this.arrive(NOBODY, { epoch: "", offset: 0 });
  }
}
