/**
 * One topic of the engine in one shard: takes what the engine thread sends, in order and without a hole, to all
 * subscriptions of the shard. `Feeds` has one for each topic with history or presence that the shard wants.
 */
import type { Frame } from "../../wire/protocol/frame.ts";
import type { EngineClient } from "../engine/engine-client.ts";
import type { StreamFeed } from "../engine/wanted-topics.ts";
import type { EndOfTick } from "../scheduling/end-of-tick.ts";
import type { HistoryRead, PresenceChange } from "../streams/engine.ts";
import type { Position } from "../streams/position.ts";
import type { StreamRecord } from "../streams/publication.ts";
import { NOTHING_KEPT, type Subscribed, type SubscribeOptions } from "../streams/subscribe.ts";
import type { TopicRule } from "../streams/topic-rules.ts";
import { catchUp } from "./catch-up.ts";
import type { FeedHost } from "./feed-host.ts";
import { type FirstResultFeed, firstResult } from "./first-result.ts";
import { JoiningSubscriptions } from "./joining-subscriptions.ts";
import { LiveSubscriptions } from "./live-subscriptions.ts";
import { SubscriptionMoves } from "./moving/subscription-moves.ts";
import { PresenceWatchers } from "./presence-watchers.ts";
import { type CursorOwner, StreamCursor } from "./stream-cursor.ts";
import { type StreamSubscriber, StreamSubscription, type SubscriptionOwner } from "./stream-subscription.ts";
import { UnstoredPublications } from "./unstored.ts";

export interface FeedOwner {
  readonly host: FeedHost;
  readonly client: EngineClient;
  readonly endOfTick: EndOfTick;
  /** Time before the history is read again after a read that failed, in ms. */
  readonly retryMs: number;
  /** Nothing holds the feed any more, or the engine refused the topic. */
  feedClosed(feed: Feed): void;
}

export class Feed implements StreamFeed, SubscriptionOwner, CursorOwner, FirstResultFeed {
  readonly topic: string;
  readonly retryMs: number;
  /** True if the newest publication makes older ones worthless. */
  readonly #thins: boolean;
  readonly #hasHistory: boolean;
  readonly #owner: FeedOwner;
  /** Resolves when everything that is published from now on arrives. */
  readonly wanted: Promise<unknown>;
  readonly #cursor: StreamCursor;
  readonly #live: LiveSubscriptions;
  readonly #joining = new JoiningSubscriptions();
  readonly #unstored: UnstoredPublications;
  readonly moves: SubscriptionMoves;
  readonly watchers: PresenceWatchers;
  /** Number of reasons to want the topic. */
  #holders = 0;
  #closed = false;

  constructor(topic: string, rule: TopicRule | undefined, owner: FeedOwner) {
    this.topic = topic;
    this.retryMs = owner.retryMs;
    this.#thins = rule?.history?.size === 1;
    this.#hasHistory = rule?.history !== undefined;
    this.#owner = owner;
    this.#cursor = new StreamCursor(this, this.#thins);
    this.#live = new LiveSubscriptions(topic, owner.host.audience);
    this.#unstored = this.#createUnstored();
    this.moves = this.#createMoves();
    this.watchers = new PresenceWatchers(topic);
    this.wanted = owner.client.want(topic, this, { presence: rule?.presence?.changes === true });
    // The holders get the rejection. Whoever comes later gets another feed, which asks the engine again.
    this.wanted.catch(() => this.#close());
  }

  #createUnstored(): UnstoredPublications {
    return new UnstoredPublications({
      topic: this.topic,
      live: this.#live,
      joining: this.#joining,
      dropped: () => this.#owner.host.unstoredDropped(),
      failed: this.#failed,
    });
  }

  #createMoves(): SubscriptionMoves {
    const cursor = this.#cursor;
    return new SubscriptionMoves({
      get place() {
        return cursor.position;
      },
      live: this.#live,
      joining: this.#joining,
      create: (subscriber) => {
        void this.hold();
        return new StreamSubscription(this.topic, subscriber, undefined, this.#thins, this);
      },
      settle: (subscription) => this.settle(subscription),
      fallBehind: (subscription) => this.#fallBehind(subscription),
    });
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

  // ── subscriptions ──────────────────────────────────────────────────────────────────────────────────────

  /**
   * Subscribes. What is published after the result's position is delivered from the end of the tick in which the result
   * comes: what the caller sends at once comes before. If the result is a rejection, the subscription has ended.
   *
   * @param ready resolves when the result may come
   */
  subscribe(
    subscriber: StreamSubscriber,
    options: SubscribeOptions,
    ready: Promise<void> | undefined,
  ): { readonly subscription: StreamSubscription; readonly result: Promise<Subscribed> } {
    const subscription = new StreamSubscription(this.topic, subscriber, options.encode, this.#thins, this);
    const wanted = this.hold();
    this.#joining.add(subscription);
    const both = ready === undefined ? wanted : Promise.all([wanted, ready]);
    return { subscription, result: this.#join(subscription, options, both) };
  }

  unsubscribe(subscription: StreamSubscription): void {
    if (subscription.hasEnded) return;
    if (subscription.phase === "live") this.#live.delete(subscription);
    else this.stopJoining(subscription);
    subscription.phase = "ended";
    this.release();
  }

  /** The position of a subscription: the last publication that its connection was given. */
  positionOf(subscription: StreamSubscription): Position {
    return subscription.phase === "live" ? this.place : subscription.place;
  }

  get place(): Position {
    return this.#cursor.position;
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
      const settle = (): void => this.settle(subscription);
      if (deliverAfter === undefined) this.#owner.endOfTick.add(settle);
      else void deliverAfter.then(settle, settle);
      return result;
    } catch (error) {
      this.unsubscribe(subscription);
      throw error;
    }
  }

  takeRecent(subscription: StreamSubscription): readonly StreamRecord[] {
    const records = subscription.isBefore(this.place) ? this.#joining.since(subscription.offset) : undefined;
    if (records === undefined) return [];
    subscription.moveTo(this.place);
    return records;
  }

  /** Brings a subscription from its place to the feed's, and makes it live. */
  settle(subscription: StreamSubscription): void {
    if (subscription.hasEnded) return;
    if (subscription.isPaused) {
      subscription.phase = "joining";
      return;
    }
    const { epoch, offset } = this.#cursor;
    if (subscription.epoch !== epoch) {
      // Either the feed hasn't heard of the epoch yet, or the subscription's read was too early.
      this.#joining.addAhead(subscription);
      this.#cursor.check();
    } else if (subscription.offset > offset) {
      this.#joining.addAhead(subscription);
    } else {
      this.#joining.deleteAhead(subscription);
      const records = subscription.isBefore(this.place) ? this.#toSettle(subscription) : [];
      if (records !== undefined && this.deliverAll(subscription, records)) this.#goLive(subscription);
      else if (!subscription.hasEnded) this.#fallBehind(subscription);
    }
  }

  /** Returns what a subscription needs to come to the feed's place; undefined if that isn't remembered. */
  #toSettle({ offset, phase }: StreamSubscription): readonly StreamRecord[] | undefined {
    const records = this.#thins && phase === "behind" ? undefined : this.#joining.since(offset);
    if (records !== undefined || !this.#thins) return records;
    const { newest } = this.#joining;
    return newest !== undefined && newest.offset > offset ? [newest] : [];
  }

  #goLive(subscription: StreamSubscription): void {
    this.stopJoining(subscription);
    subscription.phase = "live";
    this.#live.add(subscription);
    this.#unstored.deliverHeld(subscription);
  }

  startJoining(subscription: StreamSubscription): void {
    this.#joining.add(subscription);
  }

  stopJoining(subscription: StreamSubscription): void {
    this.#joining.delete(subscription);
  }

  /** Delivers publications to one subscription. Returns false if its peer refuses one, or the subscription ends. */
  deliverAll(subscription: StreamSubscription, records: readonly StreamRecord[]): boolean {
    for (const record of records) {
      this.#unstored.deliverHeld(subscription, record.offset);
      let frame: Frame | undefined;
      try {
        frame = this.#live.frameOf(subscription.encode, record, subscription.epoch);
      } catch (error) {
        this.#fail(subscription, error);
        return false;
      }
      if (subscription.hasEnded) return false;
      if (frame !== undefined) {
        const result = subscription.deliver(frame, this.topic);
        if (subscription.hasEnded || result === "dropped") return false;
        if (result !== "closed") this.#owner.host.audience.delivered?.(1);
      }
      subscription.offset = record.offset;
    }
    return true;
  }

  /** Called by a live subscription in the middle of a delivery. */
  publicationRefused(subscription: StreamSubscription): void {
    if (this.#unstored.isDelivering) {
      this.#owner.host.unstoredDropped();
      return;
    }
    if (subscription.phase !== "live") return;
    this.#live.delete(subscription);
    const { epoch, offset } = this.#cursor;
    subscription.moveTo({ epoch, offset: offset - 1 });
    this.#fallBehind(subscription);
  }

  #fallBehind(subscription: StreamSubscription): void {
    this.stopJoining(subscription);
    subscription.phase = "behind";
    this.#owner.host.subscriptionBehind();
    void catchUp(subscription, this);
  }

  /** Ends a subscription because publications are lost for it. */
  lose(subscription: StreamSubscription): void {
    if (subscription.hasEnded) return;
    this.unsubscribe(subscription);
    this.#owner.host.subscriptionLost();
    subscription.subscriber.streamLost(this.topic, this.#cursor.position);
  }

  /** Ends a subscription whose `encode` threw: it can't get the publication. */
  #fail(subscription: StreamSubscription, error: unknown): void {
    if (subscription.hasEnded) return;
    this.lose(subscription);
    subscription.subscriber.encodeFailed(error);
  }

  // ── from the engine ────────────────────────────────────────────────────────────────────────────────────

  published(record: StreamRecord, epoch: string): void {
    this.#cursor.published(record, epoch);
  }

  topTold(top: Position): void {
    this.#cursor.topTold(top);
  }

  relayed(frame: Frame): void {
    if (this.#hasHistory) this.#unstored.deliver(frame, this.#cursor.offset);
    else this.#owner.host.relayed(this.topic, frame);
  }

  get deliversUnstored(): boolean {
    return this.#unstored.isDelivering;
  }

  presenceChanged(change: PresenceChange): void {
    this.watchers.changed(change);
  }

  presenceDoubted(): void {
    this.watchers.doubted();
  }

  // ── from the cursor ────────────────────────────────────────────────────────────────────────────────────

  readSince(offset: number): Promise<HistoryRead> {
    // The newest publication that arrived doesn't tell the stream's top: only a new read does.
    return this.#owner.client.readAnew(this.topic, offset);
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

  /** Reads a page for a subscription that is behind. */
  readPage(since: number, limit: number): Promise<HistoryRead> {
    return this.#owner.client.history(this.topic, { since, limit });
  }

  took(record: StreamRecord): void {
    const { epoch } = this.#cursor;
    const isRemembered = this.#joining.remember(record);
    this.#live.deliver(record, epoch, isRemembered, this.#failed);
    if (!this.#joining.hasAhead) return;
    for (const subscription of this.#joining.ahead()) {
      if (subscription.epoch === epoch && subscription.offset <= record.offset) this.settle(subscription);
    }
  }

  readonly #failed = (subscription: StreamSubscription, error: unknown): void => this.#fail(subscription, error);

  skipped(from: Position): void {
    const { epoch, offset } = this.#cursor;
    this.#joining.forget();
    for (const subscription of this.#live.all()) this.lose(subscription);
    // Offsets that repeat would look like publications that a subscription has.
    const wentBack = from.epoch === epoch && offset < from.offset;
    for (const subscription of this.#joining.all()) {
      if (wentBack && subscription.epoch === epoch && subscription.offset > offset) this.lose(subscription);
      else if (this.#joining.isAhead(subscription)) this.settle(subscription);
    }
  }

  checked(): void {
    const { epoch } = this.#cursor;
    for (const subscription of this.#joining.ahead()) if (subscription.epoch !== epoch) this.lose(subscription);
  }
}
