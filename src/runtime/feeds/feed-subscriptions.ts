/**
 * The subscriptions of one feed, from phase to phase: deliveries to each, until it has ended.
 * `Feed` has one `FeedSubscriptions`.
 */
import type { Frame } from "../../wire/protocol/frame.ts";
import type { EngineClient } from "../engine/client/engine-client.ts";
import type { HistoryRead } from "../streams/engine.ts";
import type { Position } from "../streams/position.ts";
import type { Encode, StreamRecord } from "../streams/publication.ts";
import type { FeedHost } from "./feed-host.ts";
import { type CatchUpFeed, catchUp } from "./joining/catch-up.ts";
import { JoiningSubscriptions } from "./joining/joining-subscriptions.ts";
import { UnstoredPublications } from "./joining/unstored.ts";
import { LiveSubscriptions } from "./live-subscriptions.ts";
import { type CursorOwner, StreamCursor } from "./stream-cursor.ts";
import { type StreamSubscriber, StreamSubscription, type SubscriptionOwner } from "./stream-subscription.ts";

/** The part of a feed that its subscriptions use. */
export interface SubscribedFeed {
  readonly topic: string;
  /** Time before the history is read again after a read that failed, in ms. */
  readonly retryMs: number;
  /** True if the newest publication makes older ones worthless. */
  readonly thins: boolean;
  readonly host: FeedHost;
  readonly client: EngineClient;
  /** A subscription has ended. */
  release(): void;
}

export class FeedSubscriptions implements SubscriptionOwner, CursorOwner, CatchUpFeed {
  readonly retryMs: number;
  /** The feed's place in its stream. */
  readonly cursor: StreamCursor;
  readonly live: LiveSubscriptions;
  readonly joining = new JoiningSubscriptions();
  readonly #feed: SubscribedFeed;
  readonly #unstored: UnstoredPublications;

  constructor(feed: SubscribedFeed) {
    const { topic, host } = feed;
    this.#feed = feed;
    this.retryMs = feed.retryMs;
    this.cursor = new StreamCursor(this, feed.thins);
    this.live = new LiveSubscriptions(topic, host.audience);
    this.#unstored = new UnstoredPublications({
      topic,
      live: this.live,
      joining: this.joining,
      dropped: (count) => host.unstoredDropped(count),
      failed: this.#failed,
    });
  }

  /** Returns a subscription that isn't joining yet. The caller holds the feed for it. */
  create(subscriber: StreamSubscriber, encode: Encode | undefined): StreamSubscription {
    return new StreamSubscription(this.#feed.topic, subscriber, encode, this.#feed.thins, this);
  }

  /** The position of a subscription: the last publication that its connection was given. */
  positionOf(subscription: StreamSubscription): Position {
    return subscription.phase === "live" ? this.place : subscription.place;
  }

  get place(): Position {
    return this.cursor.position;
  }

  /** Ends a subscription. A second call is harmless. */
  end(subscription: StreamSubscription): void {
    if (subscription.hasEnded) return;
    if (subscription.phase === "live") this.live.delete(subscription);
    else this.joining.delete(subscription);
    subscription.phase = "ended";
    this.#feed.release();
  }

  /** Ends a subscription because publications are lost for it. */
  lose(subscription: StreamSubscription): void {
    if (subscription.hasEnded) return;
    this.end(subscription);
    this.#feed.host.subscriptionLost();
    subscription.subscriber.streamLost(this.#feed.topic, this.place);
  }

  /** Ends a subscription whose `encode` threw: it can't get the publication. */
  readonly #failed = (subscription: StreamSubscription, error: unknown): void => {
    if (subscription.hasEnded) return;
    this.lose(subscription);
    subscription.subscriber.encodeFailed(error);
  };

  // ── from joining to live ───────────────────────────────────────────────────────────────────────────────

  /**
   * Moves a subscription to the feed's place, and returns the publications between. Does nothing if these aren't
   * remembered.
   */
  takeRecent(subscription: StreamSubscription): readonly StreamRecord[] {
    const records = subscription.isBefore(this.place) ? this.joining.since(subscription.offset) : undefined;
    if (records === undefined) return [];
    subscription.moveTo(this.place);
    return records;
  }

  /** Brings a subscription from its place to the feed's, and makes it live. */
  settle(subscription: StreamSubscription): void {
    if (subscription.hasEnded) return;
    if (subscription.isPaused) {
      if (subscription.phase === "behind") this.#unstored.skip(subscription);
      subscription.phase = "joining";
      return;
    }
    const { epoch, offset } = this.cursor;
    if (subscription.epoch !== epoch) {
      // Either the feed hasn't heard of the epoch yet, or the subscription's read was too early.
      this.joining.addAhead(subscription);
      this.cursor.check();
    } else if (subscription.offset > offset) {
      this.joining.addAhead(subscription);
    } else {
      this.joining.deleteAhead(subscription);
      const records = subscription.isBefore(this.place) ? this.#toSettle(subscription) : [];
      if (records === undefined) this.#catchUp(subscription);
      else if (this.deliverAll(subscription, records)) this.#goLive(subscription);
      else if (!subscription.hasEnded) this.#letBehind(subscription);
    }
  }

  /** Returns the publications up to the feed's place that a subscription lacks; undefined if they aren't remembered. */
  #toSettle({ offset, phase, thins }: StreamSubscription): readonly StreamRecord[] | undefined {
    if (!thins) return this.joining.since(offset);
    const records = phase === "behind" ? undefined : this.joining.since(offset);
    const { newest } = this.joining;
    return records ?? (newest !== undefined && newest.offset > offset ? [newest] : undefined);
  }

  #goLive(subscription: StreamSubscription): void {
    if (subscription.phase === "behind") this.#unstored.skip(subscription);
    else this.#unstored.deliverHeld(subscription);
    if (subscription.hasEnded) return;
    this.joining.delete(subscription);
    subscription.phase = "live";
    this.live.add(subscription);
  }

  /** Delivers publications to one subscription. Returns false if its peer refuses one, or the subscription ends. */
  deliverAll(subscription: StreamSubscription, records: readonly StreamRecord[]): boolean {
    const { topic, host } = this.#feed;
    for (const record of records) {
      this.#unstored.deliverHeld(subscription, record.offset);
      let frame: Frame | undefined;
      try {
        frame = this.live.frameOf(subscription.encode, record, subscription.epoch);
      } catch (error) {
        this.#failed(subscription, error);
        return false;
      }
      if (subscription.hasEnded) return false;
      if (frame !== undefined) {
        const result = subscription.deliver(frame, topic);
        if (subscription.hasEnded || result === "dropped") return false;
        if (result !== "closed") host.audience.delivered?.(1);
      }
      subscription.offset = record.offset;
    }
    return true;
  }

  // ── reading the history ────────────────────────────────────────────────────────────────────────────────

  /** Lets a subscription read the history. Publications that aren't stored wait for it, unless it is behind. */
  #catchUp(subscription: StreamSubscription): void {
    if (subscription.phase !== "behind") subscription.phase = "catchingUp";
    void catchUp(subscription, this);
  }

  #letBehind(subscription: StreamSubscription): void {
    this.fallBehind(subscription);
    void catchUp(subscription, this);
  }

  fallBehind(subscription: StreamSubscription): void {
    this.joining.delete(subscription);
    if (subscription.phase === "behind") return;
    subscription.phase = "behind";
    this.#feed.host.subscriptionBehind();
  }

  startJoining(subscription: StreamSubscription): void {
    this.joining.add(subscription);
  }

  readPage(since: number, limit: number): Promise<HistoryRead> {
    return this.#feed.client.history(this.#feed.topic, { since, limit });
  }

  /** Called by a subscription in the middle of a delivery. */
  publicationRefused(subscription: StreamSubscription): void {
    if (this.#unstored.isDelivering) {
      this.#feed.host.unstoredDropped(1);
      return;
    }
    if (subscription.phase !== "live") return;
    this.live.delete(subscription);
    const { epoch, offset } = this.cursor;
    subscription.moveTo({ epoch, offset: offset - 1 });
    subscription.nextUnstored = this.joining.nextUnstored;
    this.#letBehind(subscription);
  }

  get deliversUnstored(): boolean {
    return this.#unstored.isDelivering;
  }

  // ── from the cursor ────────────────────────────────────────────────────────────────────────────────────

  readSince(offset: number): Promise<HistoryRead> {
    // The newest publication that arrived doesn't tell the stream's top: only a new read does.
    return this.#feed.client.readAnew(this.#feed.topic, offset);
  }

  took(record: StreamRecord): void {
    const { epoch } = this.cursor;
    const isRemembered = this.joining.remember(record);
    this.live.deliver(record, epoch, isRemembered, this.#failed);
    if (!this.joining.hasAhead) return;
    for (const subscription of this.joining.ahead()) {
      if (subscription.epoch === epoch && subscription.offset <= record.offset) this.settle(subscription);
    }
  }

  passed(record: StreamRecord, after: number): void {
    this.#unstored.deliver(record, after);
  }

  skipped(from: Position): void {
    const { epoch, offset } = this.cursor;
    this.joining.forget();
    for (const subscription of this.live.all()) this.lose(subscription);
    // Offsets that repeat would look like publications that a subscription has.
    const wentBack = from.epoch === epoch && offset < from.offset;
    for (const subscription of this.joining.all()) {
      if (wentBack && subscription.epoch === epoch && subscription.offset > offset) this.lose(subscription);
      else if (this.joining.isAhead(subscription)) this.settle(subscription);
    }
  }

  checked(): void {
    const { epoch } = this.cursor;
    for (const subscription of this.joining.ahead()) if (subscription.epoch !== epoch) this.lose(subscription);
  }

  unstoredDropped(count: number): void {
    this.#feed.host.unstoredDropped(count);
  }
}
