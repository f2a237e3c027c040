/**
 * One topic of the engine in one shard: takes what the engine thread sends, in order and without a hole, to all
 * subscriptions of the shard. `Feeds` has one for each topic with history or presence that the shard wants.
 */
import type { Frame } from "../../wire/protocol/frame.ts";
import type { EngineClient } from "../engine/client/engine-client.ts";
import type { StreamFeed } from "../engine/client/wanted-topics.ts";
import type { EndOfTick } from "../scheduling/end-of-tick.ts";
import type { HistoryRead, PresenceChange } from "../streams/engine.ts";
import type { Position } from "../streams/position.ts";
import type { StreamRecord } from "../streams/publication.ts";
import { NOTHING_KEPT, type Subscribed, type SubscribeOptions } from "../streams/subscribe.ts";
import type { TopicRule } from "../streams/topic-rules.ts";
import type { FeedHost } from "./feed-host.ts";
import { FeedSubscriptions } from "./feed-subscriptions.ts";
import { type FirstResultFeed, firstResult } from "./first-result.ts";
import { SubscriptionMoves } from "./moving/subscription-moves.ts";
import { PresenceWatchers } from "./presence-watchers.ts";
import type { StreamCursor } from "./stream-cursor.ts";
import type { StreamSubscriber, StreamSubscription } from "./stream-subscription.ts";

export interface FeedOwner {
  readonly host: FeedHost;
  readonly client: EngineClient;
  readonly endOfTick: EndOfTick;
  /** Time before the history is read again after a read that failed, in ms. */
  readonly retryMs: number;
  /** Nothing holds the feed any more, or the engine refused the topic. */
  feedClosed(feed: Feed): void;
}

export class Feed implements StreamFeed, FirstResultFeed {
  readonly topic: string;
  readonly #hasHistory: boolean;
  readonly #owner: FeedOwner;
  /** Resolves when everything that is published from now on arrives. */
  readonly wanted: Promise<unknown>;
  readonly subscriptions: FeedSubscriptions;
  readonly moves: SubscriptionMoves;
  readonly watchers: PresenceWatchers;
  readonly #cursor: StreamCursor;
  /** Number of reasons to want the topic. */
  #holders = 0;
  #comes: Promise<Subscribed> | undefined;
  #closed = false;

  constructor(topic: string, rule: TopicRule | undefined, owner: FeedOwner) {
    const { host, client, retryMs } = owner;
    this.topic = topic;
    this.#hasHistory = rule?.history !== undefined;
    this.#owner = owner;
    const thins = rule?.history?.size === 1;
    const release = (): void => this.release();
    this.subscriptions = new FeedSubscriptions({ topic, retryMs, thins, host, client, release });
    this.#cursor = this.subscriptions.cursor;
    this.moves = new SubscriptionMoves(this.subscriptions, () => void this.hold());
    this.watchers = new PresenceWatchers(topic);
    this.wanted = client.want(topic, this, { presence: rule?.presence?.changes === true });
    // The holders get the rejection. Whoever comes later gets another feed, which asks the engine again.
    this.wanted.catch(() => this.#close());
  }

  /** The result of connections that come from another thread: a promise that all of them share. */
  get comes(): Promise<Subscribed> {
    this.#comes ??= this.wanted.then(() => NOTHING_KEPT);
    return this.#comes;
  }

  /** Keeps the topic wanted until `release`. Resolves when everything that is published from now on arrives. */
  hold(): Promise<unknown> {
    this.#holders++;
    return this.wanted;
  }

  release(): void {
    if (--this.#holders > 0 || this.#closed) return;
    this.#owner.client.unwant(this.topic);
    this.#close();
  }

  #close(): void {
    this.#closed = true;
    this.#cursor.close();
    this.#owner.feedClosed(this);
  }

  // ── a new subscription ─────────────────────────────────────────────────────────────────────────────────

  /**
   * Subscribes. Publications after the result's position are delivered from the end of the tick in which the result
   * comes: messages that the caller sends at once come before. If the result is a rejection, the subscription has
   * ended.
   *
   * @param ready resolves when the result may come
   */
  subscribe(
    subscriber: StreamSubscriber,
    options: SubscribeOptions,
    ready: Promise<void> | undefined,
  ): { readonly subscription: StreamSubscription; readonly result: Promise<Subscribed> } {
    const subscription = this.subscriptions.create(subscriber, options.encode);
    const wanted = this.hold();
    this.subscriptions.joining.begin(subscription);
    const both = ready === undefined ? wanted : Promise.all([wanted, ready]);
    return { subscription, result: this.#join(subscription, options, both) };
  }

  async #join(
    subscription: StreamSubscription,
    { since, deliverAfter }: SubscribeOptions,
    ready: Promise<unknown>,
  ): Promise<Subscribed> {
    try {
      await ready;
      await this.#owner.host.mayGoOn();
      if (subscription.hasEnded) return NOTHING_KEPT;
      const result = await firstResult(subscription, since, this);
      // Deliveries begin later, so that messages which the caller sends when it gets the result come before them.
      const settle = (): void => this.subscriptions.settle(subscription);
      if (deliverAfter === undefined) this.#owner.endOfTick.add(settle);
      else void deliverAfter.then(settle, settle);
      return result;
    } catch (error) {
      this.subscriptions.end(subscription);
      throw error;
    }
  }

  get place(): Position {
    return this.#cursor.position;
  }

  takeRecent(subscription: StreamSubscription): readonly StreamRecord[] {
    return this.subscriptions.takeRecent(subscription);
  }

  async readShared(offset: number): Promise<HistoryRead> {
    const read = await this.#owner.client.readSince(this.topic, offset);
    await this.#owner.host.mayGoOn();
    return read;
  }

  async readNewest(): Promise<HistoryRead> {
    const read = await this.#owner.client.history(this.topic, { limit: 1, reverse: true });
    await this.#owner.host.mayGoOn();
    return read;
  }

  // ── from the engine ────────────────────────────────────────────────────────────────────────────────────

  published(record: StreamRecord, epoch: string): void {
    this.#cursor.published(record, epoch);
  }

  topTold(top: Position): void {
    this.#cursor.topTold(top);
  }

  relayed(frame: Frame): void {
    if (this.#hasHistory) this.#cursor.passed({ offset: 0, timeMs: Date.now(), frame });
    else this.#owner.host.relayed(this.topic, frame);
  }

  interrupted(): void {
    this.#cursor.interrupted();
  }

  presenceChanged(change: PresenceChange): void {
    this.watchers.changed(change);
  }

  presenceDoubted(): void {
    this.watchers.doubted();
  }
}
