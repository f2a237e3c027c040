/** One connection in one topic with history or presence. `Feeds` makes memberships, and `Subscriptions` keeps them. */
import { noop } from "../../wire/protocol/empty.ts";
import type { Address } from "../actor/address.ts";
import type { EngineClient } from "../engine/client/engine-client.ts";
import type { JoiningAgain } from "../engine/client/join-batches.ts";
import type { LocalMember } from "../engine/messages.ts";
import type { Position } from "../streams/position.ts";
import type { Encode } from "../streams/publication.ts";
import { NOTHING_KEPT, type Subscribed, type SubscribeOptions } from "../streams/subscribe.ts";
import type { PresenceEvent } from "../streams/topic-memory.ts";
import type { Feed } from "./feed.ts";
import type { SinceCut } from "./moving/coming-topics.ts";
import { type PresenceWatcher, WaitingPresence } from "./presence-watchers.ts";
import type { StreamSubscriber, StreamSubscription } from "./stream-subscription.ts";
import { toJson } from "./subscribe-options.ts";

/** A connection that subscribes. */
export interface FeedMember extends StreamSubscriber {
  readonly address: Address;
}

/** A membership that moves to another thread, as plain data. */
export interface MembershipState {
  /** Last publication that the connection was given; undefined on a topic without history. */
  readonly place: Position | undefined;
  /** The member of presence; undefined if the connection isn't shown there. */
  readonly member: LocalMember | undefined;
  /** True if the connection is told of joins and leaves. */
  readonly watches: boolean;
}

/** The topics of a connection, of which a membership is one. */
export interface MembershipOwner {
  /** A membership that has come from another thread has ended by itself. */
  forget(topic: string, membership: Membership): void;
}

/** The parts of a membership. */
export interface MembershipParts {
  readonly client: EngineClient;
  readonly feed: Feed;
  readonly member: FeedMember;
  /** Set on a topic with history. */
  readonly subscription: StreamSubscription | undefined;
  readonly result: Promise<Subscribed>;
  /** True if the connection is a member in presence. */
  readonly isShown: boolean;
  readonly watches: boolean;
  /** Set if the membership has come from another thread. */
  readonly owner?: MembershipOwner;
}

export class Membership implements PresenceWatcher, JoiningAgain {
  readonly #client: EngineClient;
  readonly #feed: Feed;
  readonly #member: FeedMember;
  /** Set on a topic with history. */
  readonly subscription: StreamSubscription | undefined;
  readonly #isShown: boolean;
  /** Undefined once there is a result: a membership may last for days. */
  #pending: Promise<Subscribed> | undefined;
  /** Changes of presence that wait while the membership is about to move. */
  #waiting: WaitingPresence | undefined;
  readonly #watches: boolean;
  readonly #owner: MembershipOwner | undefined;
  /** True once the subscription of a connection that has come may go on. */
  #hasArrived = false;
  #left = false;

  constructor({ client, feed, member, subscription, result, isShown, watches, owner }: MembershipParts) {
    this.#client = client;
    this.#feed = feed;
    this.#member = member;
    this.subscription = subscription;
    this.#isShown = isShown;
    this.#watches = watches;
    this.#owner = owner;
    this.#pending = result;
    result.then(
      () => {
        this.#pending = undefined;
        if (this.#hasArrived) this.#goOn();
      },
      // A rejection stays: a second subscription gets it as well.
      () => this.#fail(),
    );
  }

  /** The first result. It isn't kept once it has come: who asks later gets what `again` gives. */
  get result(): Promise<Subscribed> {
    return this.#pending ?? Promise.resolve(this.#now());
  }

  /**
   * Subscribes a second time. Only a `user` or `info` that is given changes; without either, nothing does. Resolves
   * with the place of the first subscription, once that has its result.
   */
  async again(options: SubscribeOptions): Promise<Subscribed> {
    const changesMember = this.#isShown && (options.user !== undefined || options.info !== undefined);
    const { topic } = this.#feed;
    const { address } = this.#member;
    const known = this.#client.joinedMember(topic, address);
    const updated = changesMember ? join(this.#client, topic, address, options, known) : undefined;
    await Promise.all([this.#pending, updated]);
    return this.#now();
  }

  #now(): Subscribed {
    if (this.subscription === undefined) return NOTHING_KEPT;
    return { ...NOTHING_KEPT, position: this.#feed.subscriptions.positionOf(this.subscription) };
  }

  /** Called by the feed. */
  presenceChanged(event: PresenceEvent): void {
    (this.#waiting ?? this.#member).presenceChanged(event);
  }

  /**
   * Ends the membership.
   *
   * @param isReplaced true if another membership of the connection takes its place: presence knows of no leave then
   */
  leave(isReplaced = false): void {
    if (this.#left) return;
    // A leave that fails isn't lost: the member expires.
    if (this.#isShown && !isReplaced) this.#client.leave(this.#feed.topic, this.#member.address).catch(noop);
    this.#end();
  }

  #end(): void {
    if (this.#left) return;
    this.#left = true;
    this.#feed.watchers.delete(this);
    if (this.subscription === undefined) this.#feed.release();
    else this.#feed.subscriptions.end(this.subscription);
  }

  // ── moves to another thread ────────────────────────────────────────────────────────────────────────────

  /** True while the membership has no result, or isn't at the place that its result told: it can't move now. */
  get isJoining(): boolean {
    const phase = this.subscription?.phase;
    return this.#pending !== undefined || phase === "joining" || phase === "catchingUp";
  }

  get topic(): string {
    return this.#feed.topic;
  }

  /** The connection as a member of presence; undefined if it isn't shown there. */
  get shown(): LocalMember | undefined {
    return this.#isShown ? this.#client.joinedMember(this.#feed.topic, this.#member.address) : undefined;
  }

  /** Stops everything that the connection gets: from here on another thread has it. Then call `goOn`, or `save`. */
  pause(): void {
    if (this.#left) return;
    if (this.#watches) this.#waiting ??= new WaitingPresence();
    if (this.subscription !== undefined) this.#feed.moves.pause(this.subscription);
  }

  /** The connection doesn't move: it gets what waits. */
  goOn(): void {
    if (this.#left) return;
    this.#goOn();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.tell(this.#member);
  }

  /** Ends the membership in this thread, for another in another thread or process. Then call `Feeds.letGo`. */
  save(): MembershipState {
    const { shown, subscription } = this;
    const place = subscription && this.#feed.subscriptions.positionOf(subscription);
    this.#end();
    return { place, member: shown, watches: this.#watches };
  }

  /**
   * A connection that came from another thread gets what came since the cut, and what comes from now on. A stream waits
   * for `arrived`.
   */
  begin(since: SinceCut | undefined): void {
    if (this.#left) return;
    if (this.#watches) {
      for (const event of since?.presence.events ?? []) this.presenceChanged(event);
      this.#feed.watchers.add(this);
    }
    if (this.subscription !== undefined) this.#feed.moves.begin(this.subscription, since?.nextUnstored);
  }

  /**
   * The actor subscribes again, with the `encode` that couldn't come along. Resolves with the position at which the
   * connection left the other thread: what came since follows. Rejects as the first result.
   */
  async arrivedAgain(encode: Encode): Promise<Subscribed> {
    const { subscription } = this;
    const position = subscription && this.#feed.subscriptions.positionOf(subscription);
    const pending = this.#pending;
    this.arrived(encode);
    await pending;
    return { ...NOTHING_KEPT, position };
  }

  /** The subscription of a connection that came from another thread may go on, once it has its result. */
  arrived(encode: Encode | undefined): void {
    if (this.subscription === undefined) return;
    this.subscription.encode = encode;
    this.#hasArrived = true;
    if (this.#pending === undefined) this.#goOn();
  }

  #goOn(): void {
    if (this.subscription !== undefined) this.#feed.moves.goOn(this.subscription);
  }

  /** A connection that has come can't be a member. */
  joinFailed(): void {
    this.#fail();
  }

  /** A connection that has come can't be a member, or can't get what is published. */
  #fail(): void {
    if (this.#left || this.#owner === undefined) return;
    if (this.subscription !== undefined) this.#feed.subscriptions.lose(this.subscription);
    this.#owner.forget(this.topic, this);
  }
}

/** @param known member whose user and info count where the options have none */
export function join(
  client: EngineClient,
  topic: string,
  address: Address,
  options: SubscribeOptions,
  known: LocalMember | undefined,
): Promise<void> {
  const user = options.user ?? known?.user;
  const info = options.info === undefined ? known?.info : toJson(options.info);
  const joined = client.join(topic, { address, user, info });
  joined.catch(noop);
  return joined;
}
