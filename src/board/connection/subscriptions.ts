/**
 * The topics of a connection. `Connection` creates this set on the first `subscribe`.
 */
import { SwitchboardError } from "../../errors.ts";
import type { Subscriber } from "../../runtime/bus/audience.ts";
import { checkSubscribeOptions, type FeedMember, type Feeds, type Membership } from "../../runtime/feeds/feeds.ts";
import type { Topics } from "../../runtime/feeds/topics.ts";
import type { FairScheduler, ScheduledTask } from "../../runtime/scheduling/fair-scheduler.ts";
import type { Counters } from "../../runtime/stats/counters.ts";
import type { Encode } from "../../runtime/streams/publication.ts";
import type { Subscribed, SubscribeOptions } from "../../runtime/streams/subscribe.ts";
import type { TopicRule } from "../../runtime/streams/topic-rules.ts";
import type { SlowConsumerPolicy } from "../../wire/protocol/slow-consumer-policy.ts";
import { HeldDeliveries } from "./held-deliveries.ts";

/** The connection, as its subscriptions see it. */
export interface SubscribingConnection extends FeedMember {
  readonly deliver: Subscriber["deliver"];
  encodeFailed(error: unknown, topic?: string): void;
  /** Sets the policy of one topic's frames; undefined: the policy of the connection. */
  setTopicPolicy(topic: string, policy: SlowConsumerPolicy | undefined): void;
}

/** The topics of a connection that moves, as plain data. */
export interface SubscriptionsState {
  readonly topics: readonly {
    readonly topic: string;
    readonly slowConsumerPolicy: SlowConsumerPolicy | undefined;
  }[];
}

export interface SubscriptionsHost {
  readonly topics: Topics;
  /** Set if a topic of the board has history or presence. */
  readonly feeds?: Feeds | undefined;
  readonly turns: FairScheduler;
  readonly counters: Counters;
  readonly options: { readonly maxSubscriptions: number; readonly maxBufferedBytes: number };
}

const MAX_TOPICS_LEFT_PER_TURN = 32;

const NO_OPTIONS: SubscribeOptions = {};

/** The topics of one connection: at most `maxSubscriptions`, all left when the connection ends. */
export class Subscriptions implements ScheduledTask {
  readonly #subscriber: SubscribingConnection;
  readonly #host: SubscriptionsHost;
  /** All topics; those with history or presence have a membership. */
  #topics = new Map<string, Membership | undefined>();
  /** The functions of topics without history that look different to this peer. */
  #encodes: Map<string, Encode> | undefined;
  /** Topics of the bus with a policy of their own for slow peers. */
  #ownPolicies: Set<string> | undefined;
  /** Topics of the bus whose deliveries wait. */
  #held: Map<string, HeldDeliveries> | undefined;
  #leaving: MapIterator<[string, Membership | undefined]> | undefined;

  constructor(subscriber: SubscribingConnection, host: SubscriptionsHost) {
    this.#subscriber = subscriber;
    this.#host = host;
  }

  get size(): number {
    return this.#topics.size;
  }

  /**
   * Subscribes. On a topic with history or presence a second call without `since` only updates the `user` and `info`
   * that it gives. Resolves when every thread knows. Throws `ERR_TOO_MANY_SUBSCRIPTIONS`, `ERR_TOPIC` for a bad topic,
   * and what the options deserve.
   */
  add(topic: string, options: SubscribeOptions = NO_OPTIONS): Promise<Subscribed> {
    if (!this.#topics.has(topic)) this.#checkRoom();
    const rule = this.#host.topics.ruleOf(topic);
    if (rule !== undefined) return this.#enter(topic, rule, options);
    if (options !== NO_OPTIONS) checkSubscribeOptions(topic, undefined, options);
    if (this.#topics.has(topic)) return this.#again(topic);
    const known = this.#subscribeToBus(topic, options);
    this.#topics.set(topic, undefined);
    // Where other nodes publish, too, the engine may be away.
    if (this.#host.topics.areShared) known.catch(() => this.remove(topic));
    return known;
  }

  #enter(topic: string, rule: TopicRule, options: SubscribeOptions): Promise<Subscribed> {
    checkSubscribeOptions(topic, rule, options);
    const before = this.#topics.get(topic);
    if (before !== undefined && options.since === undefined) return before.again(options);
    // Presence hears of a leave if the new subscription is hidden.
    before?.leave(options.hidden !== true);
    const membership = (this.#host.feeds as Feeds).enter(topic, rule, this.#subscriber, options);
    this.#topics.set(topic, membership);
    const { result } = membership;
    // The promise of the actor rejects, too; this one only clears up.
    result.catch(() => this.forget(topic, membership));
    if (rule.history !== undefined) return result;
    const known = this.#subscribeToBus(topic, options);
    known.catch(() => this.forget(topic, membership));
    return Promise.all([known, result]).then(([subscribed]) => subscribed);
  }

  /** A second subscription changes nothing, and resolves when every thread knows of the first. */
  #again(topic: string): Promise<Subscribed> {
    const subscriber = this.#held?.get(topic) ?? this.#subscriber;
    return this.#host.topics.bus.subscribe(topic, subscriber, this.#encodes?.get(topic));
  }

  #subscribeToBus(topic: string, { encode, deliverAfter, slowConsumerPolicy }: SubscribeOptions): Promise<Subscribed> {
    if (slowConsumerPolicy !== undefined) {
      this.#ownPolicies ??= new Set();
      this.#ownPolicies.add(topic);
      this.#subscriber.setTopicPolicy(topic, slowConsumerPolicy);
    }
    if (encode !== undefined) {
      this.#encodes ??= new Map();
      this.#encodes.set(topic, encode);
    }
    const { topics, options, counters } = this.#host;
    if (deliverAfter === undefined) return topics.bus.subscribe(topic, this.#subscriber, encode);
    const held = new HeldDeliveries(this.#subscriber, options.maxBufferedBytes, () => counters.add("droppedNewest"));
    this.#held ??= new Map();
    this.#held.set(topic, held);
    const release = (): void => this.#release(topic, held);
    void deliverAfter.then(release, release);
    return topics.bus.subscribe(topic, held, encode);
  }

  /** Subscribes the connection in the place of what waited for it. */
  #release(topic: string, held: HeldDeliveries): void {
    if (this.#held?.get(topic) !== held) return;
    this.#forgetHeld(topic);
    const { bus } = this.#host.topics;
    const encode = this.#encodes?.get(topic);
    void bus.subscribe(topic, this.#subscriber, encode);
    bus.unsubscribe(topic, held, encode);
    held.release(topic);
  }

  /** Takes the topics out, for `load`, and leaves all of them. */
  save(policies: ReadonlyMap<string, SlowConsumerPolicy>): SubscriptionsState {
    const topics = Array.from(this.#topics.keys(), (topic) => {
      return { topic, slowConsumerPolicy: this.#ownPolicies?.has(topic) ? policies.get(topic) : undefined };
    });
    for (const [topic, membership] of this.#topics) this.#leave(topic, membership);
    this.#topics = new Map();
    return { topics };
  }

  /** Subscribes to the topics of a connection that was saved. */
  load({ topics }: SubscriptionsState): void {
    for (const { topic, slowConsumerPolicy } of topics) void this.add(topic, { slowConsumerPolicy });
  }

  remove(topic: string): void {
    const membership = this.#topics.get(topic);
    if (!this.#topics.delete(topic)) return;
    this.#leave(topic, membership);
  }

  /** Removes a topic whose subscription has ended by itself. */
  forget(topic: string, membership = this.#topics.get(topic)): void {
    if (membership !== undefined && this.#topics.get(topic) === membership) this.remove(topic);
  }

  /** Leaves all topics, a few in each turn: many connections with many topics may end together. */
  leaveAll(): void {
    if (this.#topics.size === 0) return;
    this.#leaving = this.#topics.entries();
    this.#topics = new Map();
    this.takeTurn();
  }

  /** Called by the `FairScheduler`. The closing connection ignores deliveries meanwhile. */
  takeTurn(): void {
    for (let left = 0; left < MAX_TOPICS_LEFT_PER_TURN; left++) {
      const { done, value } = this.#leaving?.next() ?? { done: true };
      if (done === true || value === undefined) return;
      this.#leave(...value);
    }
    this.#host.turns.add(this);
  }

  #leave(topic: string, membership: Membership | undefined): void {
    membership?.leave();
    if (membership?.subscription !== undefined) return;
    const subscriber = this.#held?.get(topic) ?? this.#subscriber;
    this.#host.topics.bus.unsubscribe(topic, subscriber, this.#encodes?.get(topic));
    this.#forgetHeld(topic);
    this.#encodes?.delete(topic);
    if (this.#ownPolicies?.delete(topic)) this.#subscriber.setTopicPolicy(topic, undefined);
  }

  /** An empty map would stay as long as the connection. */
  #forgetHeld(topic: string): void {
    this.#held?.delete(topic);
    if (this.#held?.size === 0) this.#held = undefined;
  }

  /** Throws, and rejects no promise: an actor that doesn't await `subscribe` fails alone, without its shard. */
  #checkRoom(): void {
    const { options, counters } = this.#host;
    if (this.#topics.size < options.maxSubscriptions) return;
    counters.add("subscriptionsRefused");
    const message = `a connection can be subscribed to ${options.maxSubscriptions} topics at a time (maxSubscriptions)`;
    throw new SwitchboardError("ERR_TOO_MANY_SUBSCRIPTIONS", message);
  }
}
