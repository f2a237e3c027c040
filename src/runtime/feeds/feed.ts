/**
 * One topic of the engine in one shard: takes what the engine thread sends, in order and without a hole, to all
 * subscriptions of the shard. `Feeds` has one for each topic with history or presence that the shard wants.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Frame } from "../../wire/protocol/frame.ts";
import { toFrame } from "../../wire/protocol/message.ts";
import {
  type Audience,
  type AudienceOwner,
  addSubscriber,
  deleteSubscriber,
  deliverTo,
  NO_SUBSCRIBERS,
} from "../bus/audience.ts";
import type { EngineClient } from "../engine/engine-client.ts";
import type { StreamFeed } from "../engine/wanted-topics.ts";
import type { EndOfTick } from "../scheduling/end-of-tick.ts";
import type { HistoryRead, PresenceChange } from "../streams/engine.ts";
import type { Position } from "../streams/position.ts";
import { Publication, type StreamRecord } from "../streams/publication.ts";
import { recover } from "../streams/recovery.ts";
import type { Encode, Subscribed, SubscribeOptions } from "../streams/subscribe.ts";
import type { PresenceEvent } from "../streams/topic-memory.ts";
import type { TopicRule } from "../streams/topic-rules.ts";
import { Recent } from "./recent.ts";
import { type StreamSubscriber, StreamSubscription, type SubscriptionOwner } from "./stream-subscription.ts";
import { presenceMember } from "./topics.ts";

/** What a shard has for its feeds. */
export interface FeedHost {
  /** How publications reach subscriptions of this thread. */
  readonly audience: AudienceOwner;
  /** A message without history came from another node. */
  relayed(topic: string, frame: Frame): void;
  /** A subscription has ended, because publications are lost for it. */
  subscriptionLost(): void;
  /** A subscription has fallen behind, because its peer reads too slowly. */
  subscriptionBehind(): void;
}

export interface FeedOwner {
  readonly host: FeedHost;
  readonly client: EngineClient;
  readonly endOfTick: EndOfTick;
  /** Nothing holds the feed any more. */
  feedClosed(feed: Feed): void;
}

/** Time before the history is read again after a read that failed, in ms. */
const RETRY_MS = 1_000;
/** Number of publications that a subscription which is behind reads at a time. */
const CATCH_UP_PUBLICATIONS = 256;
/** Number of publications that wait while the feed reads what it missed. Beyond it the feed reads once more. */
const MAX_HELD = 1_024;

/** The live subscriptions with the same `encode`. A publication is encoded once for all of them. */
interface Variant extends Audience {
  readonly encode: Encode | undefined;
  /** Frames of publications that were delivered to single subscriptions. */
  readonly encoded: WeakMap<StreamRecord, Frame>;
}

/** A publication and its epoch. */
interface Held {
  readonly record: StreamRecord;
  readonly epoch: string;
}

export class Feed implements StreamFeed, SubscriptionOwner {
  readonly topic: string;
  readonly #thins: boolean;
  readonly #owner: FeedOwner;
  /** Resolves when everything that is published from now on arrives. */
  readonly #wanted: Promise<unknown>;
  /** Place of the feed: the last publication that it took. Undefined until the engine has told the top. */
  #epoch: string | undefined;
  #offset = 0;
  readonly #variants = new Map<Encode | undefined, Variant>();
  /** Subscriptions that read what they missed. While there are any, the newest publications are remembered for them. */
  readonly #joining = new Set<StreamSubscription>();
  /** Subscriptions whose read was ahead of the feed. They go live when the feed has come as far. */
  readonly #ahead = new Set<StreamSubscription>();
  readonly #recent = new Recent();
  /** What arrives while the feed reads what it missed; undefined while it doesn't. */
  #held: Held[] | undefined;
  readonly #watchers = new Set<StreamSubscriber>();
  /** Number of reasons to want the topic. */
  #holders = 0;
  #closed = false;

  constructor(topic: string, rule: TopicRule | undefined, owner: FeedOwner) {
    this.topic = topic;
    this.#thins = rule?.history?.size === 1;
    this.#owner = owner;
    this.#wanted = owner.client.want(topic, this, { presence: rule?.presence?.changes === true });
    // Each subscription awaits it, too.
    this.#wanted.catch(() => {});
  }

  /** Keeps the topic wanted until `release`. Resolves when everything that is published from now on arrives. */
  hold(): Promise<unknown> {
    this.#holders++;
    return this.#wanted;
  }

  release(): void {
    if (--this.#holders > 0) return;
    this.#closed = true;
    this.#owner.client.unwant(this.topic);
    this.#owner.feedClosed(this);
  }

  watch(subscriber: StreamSubscriber): void {
    this.#watchers.add(subscriber);
  }

  unwatch(subscriber: StreamSubscriber): void {
    this.#watchers.delete(subscriber);
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
    { since, encode }: SubscribeOptions,
    ready: Promise<void> | undefined,
  ): { readonly subscription: StreamSubscription; readonly result: Promise<Subscribed> } {
    const subscription = new StreamSubscription(this.topic, subscriber, encode, this.#thins, this);
    const wanted = this.hold();
    this.#joining.add(subscription);
    const both = ready === undefined ? wanted : Promise.all([wanted, ready]);
    return { subscription, result: this.#join(subscription, since, both) };
  }

  unsubscribe(subscription: StreamSubscription): void {
    if (subscription.hasEnded) return;
    const wasLive = subscription.phase === "live";
    subscription.phase = "ended";
    if (wasLive) this.#removeLive(subscription);
    else this.#stopJoining(subscription);
    this.release();
  }

  /** The position of a subscription: the last publication that its connection was given. */
  positionOf(subscription: StreamSubscription): Position {
    if (subscription.phase === "live") return { epoch: this.#epoch ?? "", offset: this.#offset };
    return { epoch: subscription.epoch, offset: subscription.offset };
  }

  async #join(
    subscription: StreamSubscription,
    since: SubscribeOptions["since"],
    ready: Promise<unknown>,
  ): Promise<Subscribed> {
    try {
      await ready;
      const result = await this.#firstResult(subscription, since);
      // What the caller sends when it gets the result comes before what is delivered.
      this.#owner.endOfTick.add(() => this.#settle(subscription));
      return result;
    } catch (error) {
      this.unsubscribe(subscription);
      throw error;
    }
  }

  #firstResult(subscription: StreamSubscription, since: SubscribeOptions["since"]): Subscribed | Promise<Subscribed> {
    const here = { epoch: this.#epoch ?? "", offset: this.#offset };
    if (since === undefined) {
      this.#place(subscription, here);
      return { wasRecovering: false, recovered: false, publications: [], position: here };
    }
    if (since === "latest") return this.#latest(subscription);
    if (since.offset === here.offset && (since.epoch === "" || since.epoch === here.epoch)) {
      this.#place(subscription, here);
      return { wasRecovering: true, recovered: true, publications: [], position: here };
    }
    return this.#resume(subscription, since);
  }

  async #resume(subscription: StreamSubscription, since: Position): Promise<Subscribed> {
    const read = await this.#owner.client.readSince(this.topic, since.offset);
    const { recovered, records } = recover(since, read);
    this.#place(subscription, read.top);
    if (!recovered) {
      this.#skip(subscription);
      return this.#subscribed(subscription, false, []);
    }
    const later = this.#since(subscription);
    if (later.length > 0) subscription.offset = this.#offset;
    return this.#subscribed(subscription, true, later.length > 0 ? [...records, ...later] : records);
  }

  async #latest(subscription: StreamSubscription): Promise<Subscribed> {
    const read = await this.#owner.client.history(this.topic, { limit: 1, reverse: true });
    this.#place(subscription, read.top);
    const newest = this.#since(subscription).at(-1) ?? read.records.find(({ offset }) => offset === read.top.offset);
    this.#skip(subscription);
    return this.#subscribed(subscription, newest !== undefined, newest === undefined ? [] : [newest]);
  }

  #subscribed(subscription: StreamSubscription, recovered: boolean, records: readonly StreamRecord[]): Subscribed {
    const { epoch, offset } = subscription;
    const publications = records.map((record) => new Publication(this.topic, epoch, record));
    return { wasRecovering: true, recovered, publications, position: { epoch, offset } };
  }

  #place(subscription: StreamSubscription, { epoch, offset }: Position): void {
    subscription.epoch = epoch;
    subscription.offset = offset;
  }

  /** Moves a subscription to the feed's place, over what it doesn't want. */
  #skip(subscription: StreamSubscription): void {
    if (subscription.epoch === this.#epoch && subscription.offset < this.#offset) subscription.offset = this.#offset;
  }

  /** The publications between a subscription's place and the feed's; none if they aren't all remembered. */
  #since(subscription: StreamSubscription): readonly StreamRecord[] {
    if (subscription.epoch !== this.#epoch || subscription.offset >= this.#offset) return [];
    return this.#recent.since(subscription.offset) ?? [];
  }

  /** Brings a subscription from its place to the feed's, and makes it live. */
  #settle(subscription: StreamSubscription): void {
    if (subscription.hasEnded) return;
    if (subscription.epoch !== this.#epoch) {
      this.#lose(subscription);
    } else if (subscription.offset > this.#offset) {
      this.#ahead.add(subscription);
    } else if (this.#deliverAll(subscription, this.#since(subscription)) && subscription.offset === this.#offset) {
      this.#goLive(subscription);
    } else if (!subscription.hasEnded) {
      this.#fallBehind(subscription);
    }
  }

  #goLive(subscription: StreamSubscription): void {
    this.#stopJoining(subscription);
    subscription.phase = "live";
    addSubscriber(this.#variant(subscription.encode), subscription);
  }

  #stopJoining(subscription: StreamSubscription): void {
    this.#ahead.delete(subscription);
    this.#joining.delete(subscription);
    if (this.#joining.size === 0) this.#recent.clear();
  }

  /** Delivers publications to one subscription. Returns false if its peer refuses one, or the subscription ends. */
  #deliverAll(subscription: StreamSubscription, records: readonly StreamRecord[]): boolean {
    const variant = this.#variant(subscription.encode);
    for (const record of records) {
      let frame = variant.encoded.get(record);
      if (frame === undefined) {
        try {
          frame = this.#encode(variant, record);
        } catch (error) {
          this.#fail(subscription, error);
          return false;
        }
        variant.encoded.set(record, frame);
      }
      const result = subscription.deliver(frame, this.topic);
      if (subscription.hasEnded) return false;
      if (result === "dropped" && !this.#thins) {
        this.#owner.host.subscriptionBehind();
        return false;
      }
      subscription.offset = record.offset;
    }
    return true;
  }

  #fallBehind(subscription: StreamSubscription): void {
    this.#stopJoining(subscription);
    subscription.phase = "behind";
    void this.#catchUp(subscription);
  }

  /** Called by a live subscription in the middle of a delivery. */
  publicationRefused(subscription: StreamSubscription): void {
    if (subscription.phase !== "live") return;
    this.#removeLive(subscription);
    this.#place(subscription, { epoch: this.#epoch ?? "", offset: this.#offset - 1 });
    this.#owner.host.subscriptionBehind();
    this.#fallBehind(subscription);
  }

  /** Reads what a subscription missed, part by part, each when its peer has read the part before. */
  async #catchUp(subscription: StreamSubscription): Promise<void> {
    while (!subscription.hasEnded) {
      await subscription.subscriber.whenDrained();
      if (subscription.hasEnded) return;
      // What is published during the read is remembered.
      this.#joining.add(subscription);
      const read = await this.#read(subscription.offset);
      if (subscription.hasEnded) return;
      if (read === undefined) {
        this.#stopJoining(subscription);
        await delay(RETRY_MS, undefined, { ref: false });
        continue;
      }
      const { top, records } = read;
      if (top.epoch !== subscription.epoch || !followsOn(subscription.offset, read)) {
        this.#lose(subscription);
        return;
      }
      if (this.#deliverAll(subscription, records) && subscription.offset === top.offset) {
        this.#settle(subscription);
        return;
      }
      this.#stopJoining(subscription);
    }
  }

  /** Returns undefined if the engine can't be read now. */
  async #read(since: number): Promise<HistoryRead | undefined> {
    try {
      return await this.#owner.client.history(this.topic, { since, limit: CATCH_UP_PUBLICATIONS });
    } catch {
      return undefined;
    }
  }

  /** Ends a subscription because publications are lost for it. */
  #lose(subscription: StreamSubscription): void {
    this.unsubscribe(subscription);
    this.#owner.host.subscriptionLost();
    subscription.subscriber.streamLost(this.topic, { epoch: this.#epoch ?? "", offset: this.#offset });
  }

  #removeLive(subscription: StreamSubscription): void {
    const variant = this.#variant(subscription.encode);
    deleteSubscriber(variant, subscription);
    if (variant.subscribers.size === 0) this.#variants.delete(subscription.encode);
  }

  #variant(encode: Encode | undefined): Variant {
    let variant = this.#variants.get(encode);
    if (variant === undefined) {
      const audience = { name: this.topic, subscribers: NO_SUBSCRIBERS, group: undefined, absent: undefined };
      variant = { ...audience, encode, encoded: new WeakMap() };
      this.#variants.set(encode, variant);
    }
    return variant;
  }

  // ── from the engine ────────────────────────────────────────────────────────────────────────────────────

  published(record: StreamRecord, epoch: string): void {
    if (this.#held !== undefined) {
      // Beyond the bound all are forgotten: the next one shows the hole.
      if (this.#held.length >= MAX_HELD) this.#held.length = 0;
      this.#held.push({ record, epoch });
    } else if (epoch !== this.#epoch) {
      if (this.#epoch !== undefined) this.#loseAll({ epoch, offset: record.offset - 1 });
      else this.#moveTo({ epoch, offset: record.offset - 1 });
      this.#take(record);
    } else if (record.offset === this.#offset + 1) {
      this.#take(record);
    } else if (record.offset > this.#offset) {
      this.#held = [{ record, epoch }];
      void this.#repair();
    }
  }

  topTold(top: Position): void {
    if (this.#epoch === undefined) this.#moveTo(top);
    if (this.#held !== undefined || (top.epoch === this.#epoch && top.offset === this.#offset)) return;
    // A lower top may have been read before what came since: only a new read can tell.
    this.#held = [];
    void this.#repair();
  }

  relayed(frame: Frame): void {
    this.#owner.host.relayed(this.topic, frame);
  }

  presenceChanged({ kind, topic, member, ofUser }: PresenceChange): void {
    if (this.#watchers.size === 0) return;
    this.#tellWatchers({ kind, topic, member: presenceMember(member), ofUser });
  }

  presenceDoubted(): void {
    this.#tellWatchers({ kind: "missed", topic: this.topic });
  }

  #tellWatchers(event: PresenceEvent): void {
    for (const watcher of [...this.#watchers]) watcher.presenceChanged(event);
  }

  #moveTo({ epoch, offset }: Position): void {
    this.#epoch = epoch;
    this.#offset = offset;
    this.#recent.clear();
  }

  /** Takes the publication that follows the feed's place. */
  #take(record: StreamRecord): void {
    this.#offset = record.offset;
    if (this.#joining.size > 0) this.#recent.add(record);
    for (const variant of this.#variants.values()) this.#deliver(variant, record);
    if (this.#ahead.size === 0) return;
    for (const subscription of [...this.#ahead]) {
      if (subscription.offset === record.offset) this.#goLive(subscription);
    }
  }

  #deliver(variant: Variant, record: StreamRecord): void {
    let frame: Frame;
    try {
      frame = this.#encode(variant, record);
    } catch (error) {
      for (const subscription of [...variant.subscribers]) this.#fail(subscription as StreamSubscription, error);
      return;
    }
    deliverTo(variant, frame, this.#owner.host.audience);
  }

  /** Throws what the author's function throws. */
  #encode({ encode }: Variant, record: StreamRecord): Frame {
    if (encode === undefined) return record.frame;
    return toFrame(encode(new Publication(this.topic, this.#epoch ?? "", record)));
  }

  #fail(subscription: StreamSubscription, error: unknown): void {
    this.unsubscribe(subscription);
    subscription.subscriber.encodeFailed(this.topic, error);
  }

  /** Reads what the feed missed, and then takes what has arrived meanwhile. */
  async #repair(): Promise<void> {
    const place = { epoch: this.#epoch ?? "", offset: this.#offset };
    try {
      const read = await this.#owner.client.readSince(this.topic, place.offset);
      if (this.#closed) return;
      const { recovered, records } = recover(place, read);
      if (recovered) for (const record of records) this.#take(record);
      else this.#loseAll(read.top);
    } catch {
      if (this.#closed) return;
      // The place stays, so the next attempt reads from here.
      this.#held = [];
      await delay(RETRY_MS, undefined, { ref: false });
      if (!this.#closed) void this.#repair();
      return;
    }
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const { record, epoch } of held) this.published(record, epoch);
  }

  /** Moves the feed over what is lost, and tells all subscriptions that were live. */
  #loseAll(top: Position): void {
    this.#moveTo(top);
    for (const { subscribers } of [...this.#variants.values()]) {
      for (const subscription of [...subscribers] as StreamSubscription[]) this.#lose(subscription);
    }
    const ahead = [...this.#ahead];
    this.#ahead.clear();
    for (const subscription of ahead) this.#settle(subscription);
  }
}

/** Whether a read begins after the offset and has no hole, up to where it was cut. */
function followsOn(offset: number, { top, records }: HistoryRead): boolean {
  let expected = offset;
  for (const record of records) {
    if (record.offset !== ++expected) return false;
  }
  return records.length > 0 || top.offset === offset;
}
