/**
 * The topics of a connection. `Connection` creates this set on the first `subscribe`.
 */
import { SwitchboardError } from "../../errors.ts";
import type { StayReason } from "../../runtime/actor/moving/suspension.ts";
import type { Subscriber } from "../../runtime/bus/audience.ts";
import type { BusSubscription, Leaver, Ticket } from "../../runtime/bus/moving/move.ts";
import type { Feeds } from "../../runtime/feeds/feeds.ts";
import type { FeedMember, Membership, MembershipState } from "../../runtime/feeds/membership.ts";
import { checkSubscribeOptions } from "../../runtime/feeds/subscribe-options.ts";
import type { Topics } from "../../runtime/feeds/topics.ts";
import type { FairScheduler, ScheduledTask } from "../../runtime/scheduling/fair-scheduler.ts";
import { SmallMap } from "../../runtime/scheduling/small-map.ts";
import type { Counters } from "../../runtime/stats/counters.ts";
import type { Encode } from "../../runtime/streams/publication.ts";
import { NOTHING_KEPT, type Subscribed, type SubscribeOptions } from "../../runtime/streams/subscribe.ts";
import type { TopicRule } from "../../runtime/streams/topic-rules.ts";
import type { SlowConsumerPolicy } from "../../wire/protocol/slow-consumer-policy.ts";
import { HeldDeliveries } from "./held-deliveries.ts";

/** The connection, as its subscriptions see it. */
export interface SubscribingConnection extends FeedMember {
  readonly deliver: Subscriber["deliver"];
  encodeFailed(error: unknown, topic?: string): void;
  /** A subscription with an `encode` has ended, because the actor's `resumed` hasn't given the `encode` again. */
  subscriptionNotResumed(topic: string): void;
  /** Sets the policy of one topic's frames; undefined: the policy of the connection. */
  setTopicPolicy(topic: string, policy: SlowConsumerPolicy | undefined): void;
}

/** The topics of a connection that moves, as plain data. */
export interface SubscriptionsState {
  readonly topics: readonly {
    readonly topic: string;
    /** True if the topic has a policy of its own for slow peers: the connection's sending half keeps it. */
    readonly hasPolicy: boolean;
    /** True if the subscription has an `encode`, which can't travel: the actor gives it again. */
    readonly isEncoded: boolean;
    /** Set on a topic with history or presence. */
    readonly membership: MembershipState | undefined;
  }[];
}

/** A leaving subscriber that takes its memberships of topics along to another thread. */
export interface TopicsLeaver extends Leaver {
  readonly memberships: readonly Membership[];
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
  #topics = new SmallMap<string, Membership | undefined>();
  /** The functions of topics without history that look different to this peer. */
  #encodes: SmallMap<string, Encode> | undefined;
  /** Topics of the bus with a policy of their own for slow peers. */
  #ownPolicies: Set<string> | undefined;
  /** Topics of the bus whose deliveries wait. */
  #held: Map<string, HeldDeliveries> | undefined;
  #leaving: IterableIterator<[string, Membership | undefined]> | undefined;
  /** Topics that came from another thread, and whose `encode` the actor hasn't given again. */
  #awaitsEncode: Set<string> | undefined;
  #arrived: Promise<void> | undefined;

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
    if (options !== NO_OPTIONS) checkSubscribeOptions(topic, rule, options);
    const { encode, since } = options;
    if (encode !== undefined && since === undefined && this.#awaitsEncode?.has(topic)) {
      return this.#encodeAgain(topic, encode);
    }
    if (rule !== undefined) return this.#enter(topic, rule, options);
    if (this.#topics.has(topic)) return this.#again(topic);
    const known = this.#subscribeToBus(topic, options);
    this.#topics.set(topic, undefined);
    // With an engine that other nodes share, a subscribe fails while the engine is away.
    if (this.#host.topics.areShared) known.catch(() => this.remove(topic));
    return known;
  }

  #enter(topic: string, rule: TopicRule, options: SubscribeOptions): Promise<Subscribed> {
    const before = this.#topics.get(topic);
    if (before !== undefined && options.since === undefined) return before.again(options);
    this.#awaitsEncode?.delete(topic);
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
      this.#encodes ??= new SmallMap();
      this.#encodes.set(topic, encode);
    }
    const { topics } = this.#host;
    if (deliverAfter === undefined) return topics.bus.subscribe(topic, this.#subscriber, encode);
    const held = this.#hold(topic);
    const release = (): void => this.#release(topic, held);
    void deliverAfter.then(release, release);
    return topics.bus.subscribe(topic, held, encode);
  }

  /**
   * Subscribes the connection in the place of what waited for it.
   *
   * @param isRaw true if what waited isn't encoded
   */
  #release(topic: string, held: HeldDeliveries, isRaw = false): void {
    if (this.#held?.get(topic) !== held) return;
    this.#forgetHeld(topic);
    const { bus } = this.#host.topics;
    const encode = this.#encodes?.get(topic);
    void bus.subscribe(topic, this.#subscriber, encode);
    bus.unsubscribe(topic, held, isRaw ? undefined : encode);
    held.release(topic, isRaw ? encode : undefined);
  }

  /** Why the topics can't move now, or ever; undefined if they can. */
  get stayReason(): StayReason | undefined {
    for (const membership of this.#topics.values()) if (membership?.isJoining) return "busy";
    return this.#held === undefined ? undefined : "busy";
  }

  /** Returns what leaves with the connection, for `ShardTopics.leaveFor`. */
  leaver(): TopicsLeaver {
    const subscriber = this.#subscriber;
    const subscriptions: BusSubscription[] = [];
    const memberships: Membership[] = [];
    for (const [topic, membership] of this.#topics.entries()) {
      if (membership !== undefined) memberships.push(membership);
      if (membership?.subscription !== undefined) continue;
      subscriptions.push({ topic, subscriber, encode: this.#encodes?.get(topic) });
    }
    return { subscriptions, memberships };
  }

  /** Takes the topics out, for `load`. The bus has let go of the subscriptions. */
  save(): SubscriptionsState {
    const topics = Array.from(this.#topics.entries(), ([topic, membership]) => ({
      topic,
      hasPolicy: this.#ownPolicies?.has(topic) === true,
      isEncoded: this.#encodes?.has(topic) === true || membership?.subscription?.encode !== undefined,
      membership: membership?.save(),
    }));
    this.#topics = new SmallMap();
    const shown = topics.filter(({ membership }) => membership?.member !== undefined).map(({ topic }) => topic);
    this.#host.feeds?.letGo(this.#subscriber, shown);
    return { topics };
  }

  /**
   * Arrives with the topics of a connection that was saved. Deliveries of topics with an `encode` wait until the actor
   * has subscribed again, or until `resumed`.
   *
   * @param ticket what the bus gave the connection in the other thread; undefined if the connection comes without the
   * bus
   */
  load({ topics }: SubscriptionsState, ticket: Ticket | undefined): void {
    const { bus } = this.#host.topics;
    const arriving: BusSubscription[] = [];
    for (const { topic, hasPolicy, isEncoded, membership: state } of topics) {
      const membership = state && this.#enterAgain(topic, state, ticket);
      this.#topics.set(topic, membership);
      if (hasPolicy) {
        this.#ownPolicies ??= new Set();
        this.#ownPolicies.add(topic);
      }
      if (membership?.subscription === undefined) {
        arriving.push({ topic, subscriber: isEncoded ? this.#hold(topic) : this.#subscriber });
      } else if (!isEncoded) {
        membership.arrived(undefined);
      }
    }
    this.#awaitsEncode = new Set(topics.filter(({ isEncoded }) => isEncoded).map(({ topic }) => topic));
    if (ticket !== undefined) this.#arrived = bus.arrive(ticket, arriving);
    else for (const { topic, subscriber } of arriving) void bus.subscribe(topic, subscriber);
  }

  #enterAgain(topic: string, state: MembershipState, ticket: Ticket | undefined): Membership | undefined {
    const { topics, feeds } = this.#host;
    const rule = topics.ruleOf(topic);
    if (rule === undefined || feeds === undefined) return undefined;
    return feeds.arrive(topic, rule, this.#subscriber, state, ticket, this);
  }

  /** Resolves when the topics of the bus that came along are ordinary subscriptions. */
  get arrived(): Promise<void> | undefined {
    return this.#arrived;
  }

  /** The actor's `resumed` has ended: a topic for which it hasn't given its `encode` again is left, and told. */
  resumed(): void {
    const topics = this.#awaitsEncode ?? [];
    this.#awaitsEncode = undefined;
    for (const topic of topics) {
      this.remove(topic);
      this.#subscriber.subscriptionNotResumed(topic);
    }
  }

  /** The actor gives the `encode` of a topic that came along. */
  #encodeAgain(topic: string, encode: Encode): Promise<Subscribed> {
    this.#awaitsEncode?.delete(topic);
    const membership = this.#topics.get(topic);
    if (membership?.subscription !== undefined) return membership.arrivedAgain(encode);
    this.#encodes ??= new SmallMap();
    this.#encodes.set(topic, encode);
    const held = this.#held?.get(topic);
    // Messages that arrive until the bus is through with the move wait as well.
    const release = (): void => {
      if (held !== undefined) this.#release(topic, held, true);
    };
    return (this.#arrived ?? Promise.resolve()).then(release).then(() => NOTHING_KEPT);
  }

  #hold(topic: string): HeldDeliveries {
    const { options, counters } = this.#host;
    const held = new HeldDeliveries(this.#subscriber, options.maxBufferedBytes, () => counters.add("droppedNewest"));
    this.#held ??= new Map();
    this.#held.set(topic, held);
    return held;
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
    this.#topics = new SmallMap();
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
    this.#awaitsEncode?.delete(topic);
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
