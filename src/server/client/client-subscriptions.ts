/**
 * The subscriptions of one client: how they begin, what they deliver, and how they end. The client's actor has one
 * `ClientSubscriptions`.
 */
import { SwitchboardError } from "../../errors.ts";
import type { Actor } from "../../runtime/actor/actor.ts";
import { SmallMap } from "../../runtime/scheduling/small-map.ts";
import type { Publication } from "../../runtime/streams/publication.ts";
import type { SubscribeOptions } from "../../runtime/streams/subscribe.ts";
import { noop } from "../../wire/protocol/empty.ts";
import type { Channel } from "../channels/channels.ts";
import { type SubscriptionRights, subscriptionRights } from "../channels/subscription-rights.ts";
import { type CodeWithReason, DISCONNECTS, ERRORS, UNSUBSCRIBES } from "../protocol/codes.ts";
import {
  type ClientInfo,
  type Codec,
  type FilterNode,
  type Push,
  SUBSCRIBE_FLAGS,
  type SubscribeResult,
} from "../protocol/messages.ts";
import { checkFilter } from "../protocol/tag-filter.ts";
import type { Answer, ClientFacts, SubscriptionGrant } from "./backend.ts";
import type { ClientSubscription } from "./client-subscription.ts";
import { granted, refused, secondsUntil } from "./decisions/answers.ts";
import type { SubscriptionState } from "./moving/client-state.ts";
import { keptInfo, presenceUser } from "./presence-info.ts";
import type { PublicationEncode } from "./publication-encoder.ts";
import type { ServerParts } from "./server-parts.ts";
import { answerOf, type Begin } from "./subscribe-answer.ts";

/** The part of the client's actor that its subscriptions use. */
export interface SubscriptionOwner extends Pick<Actor, "subscribe" | "unsubscribe" | "history"> {
  readonly server: ServerParts;
  readonly codec: Codec;
  readonly clientId: string;
  readonly user: string;
  readonly clientInfo: ClientInfo;
  facts(): ClientFacts;
  closeWith(reason: CodeWithReason): void;
  pushUnsubscribe(channel: string, reason: CodeWithReason): void;
  /** True if the client finds channels by number, where it agreed to that. */
  readonly takesNumbers: boolean;
  /** @param expireAt Unix time in seconds; undefined: the subscription doesn't expire, or has ended */
  subscriptionExpires(channel: string, expireAt: number | undefined, byToken: boolean): void;
}

/** The grant of a subscription, and where the grant came from. */
export interface Admission extends SubscriptionGrant {
  readonly isServerSide: boolean;
  readonly byToken: boolean;
}

export class ClientSubscriptions {
  readonly #client: SubscriptionOwner;
  readonly #subscriptions = new SmallMap<string, ClientSubscription>();
  /** Channels whose subscription has begun, and has no result yet. Undefined: none. */
  #pending: Set<string> | undefined;
  /** Pending channels whose subscription the library has already lost. */
  #lostEarly: Set<string> | undefined;
  /** True once the connection has ended. */
  #hasEnded = false;

  constructor(client: SubscriptionOwner) {
    this.#client = client;
  }

  get(channel: string): ClientSubscription | undefined {
    return this.#subscriptions.get(channel);
  }

  /** Number of subscriptions, those that begin included. */
  get size(): number {
    return this.#subscriptions.size + (this.#pending?.size ?? 0);
  }

  values(): Iterable<ClientSubscription> {
    return this.#subscriptions.values();
  }

  /** Returns true if the client is subscribed, or about to be. */
  has(channel: string): boolean {
    return this.#subscriptions.has(channel) || this.#pending?.has(channel) === true;
  }

  /**
   * Subscribes. The caller sends the answer to the client, and resolves `deliverAfter` then.
   *
   * @param deliverAfter promise for which publications wait
   */
  async begin(
    channel: Channel,
    begin: Begin,
    admission: Admission,
    deliverAfter: Promise<unknown>,
  ): Promise<Answer<SubscribeResult>> {
    const { name } = channel;
    if (this.has(name)) return refused(ERRORS.alreadySubscribed);
    if (this.size >= this.#client.server.config.channelLimit) return refused(ERRORS.limitExceeded);
    const { expireAt } = admission;
    const ttl = expireAt === undefined ? undefined : secondsUntil(expireAt);
    if (expireAt !== undefined && ttl === undefined) return refused(ERRORS.expired);
    const filter = this.#filterOf(begin, channel);
    if (filter === "bad") return refused(ERRORS.badRequest);
    const { user } = this.#client;
    const who = { user, isSubscribed: true, insecure: this.#client.server.config.insecure };
    const allowed = subscriptionRights(channel, begin, admission.override, who);
    // A delta counts from the publication before, which a filter may have kept back.
    const rights = filter === undefined ? allowed : { ...allowed, delta: undefined };
    const wantsReject = (begin.flag & SUBSCRIBE_FLAGS.rejectUnrecovered) !== 0;
    const recovers = begin.recover && rights.recoverable;
    this.#pending ??= new Set();
    this.#pending.add(name);
    try {
      if (recovers || rights.autoCacheRecover) await this.#fillCache(channel, rights);
      const asksForNumber = (begin.flag & SUBSCRIBE_FLAGS.compaction) !== 0;
      const number = this.#client.server.registry.numberOf(name);
      const compact = asksForNumber && this.#client.takesNumbers && !admission.isServerSide && !this.#has(number);
      const subscription = this.#create(channel, rights, filter, compact, admission);
      const result = await this.#client.subscribe(name, {
        ...this.#optionsOf(subscription),
        deliverAfter,
        since: this.#sinceOf(begin, rights, recovers),
      });
      // The command was under way while the connection ended, or the stream was lost.
      if (this.#hasEnded || this.#lostEarly?.delete(name)) return refused(ERRORS.internal);
      const answer = answerOf(this.#client, subscription, { begin, recovers }, result);
      if (wantsReject && recovers && answer.recovered !== true) {
        this.#client.unsubscribe(name);
        return refused(ERRORS.unrecoverablePosition);
      }
      this.#client.server.registry.subscribed(name);
      const { base: _, ...record } = compact ? { ...subscription, id: number } : subscription;
      this.#keep(record);
      this.#client.server.observer?.subscribed(this.#client, name);
      if (expireAt !== undefined) this.#client.subscriptionExpires(name, expireAt, admission.byToken);
      // The client refreshes only what it has a token for.
      const expiry = ttl !== undefined && admission.byToken ? { expires: true, ttl } : {};
      return granted({ ...answer, ...expiry, data: admission.data, ...(compact ? { id: number } : {}) });
    } catch (error) {
      this.#client.unsubscribe(name);
      if (!(error instanceof SwitchboardError)) throw error;
      return refused(error.code === "ERR_ARGUMENT" ? ERRORS.limitExceeded : ERRORS.internal);
    } finally {
      this.#pending?.delete(name);
      this.#lostEarly?.delete(name);
      if (this.#pending?.size === 0) this.#pending = undefined;
    }
  }

  /**
   * Returns the push by which a client hears of its own join, after the answer to its subscription. The library tells
   * only of others. Undefined if the client isn't told of joins.
   */
  ownJoin(name: string): Push | undefined {
    const subscription = this.#subscriptions.get(name);
    if (subscription === undefined || !subscription.rights.joinLeave || !subscription.rights.pushJoinLeave) return;
    const info = { ...this.#client.clientInfo, chan_info: subscription.info };
    return { kind: "join", channel: name, id: subscription.id, info };
  }

  /** Ends a subscription. Returns it if there was one. */
  end(name: string): ClientSubscription | undefined {
    const subscription = this.#subscriptions.get(name);
    if (subscription === undefined) return undefined;
    this.#client.unsubscribe(name);
    this.#forget(name);
    return subscription;
  }

  /** @param expireAt Unix time in seconds; undefined: the subscription doesn't expire any more */
  renewed(name: string, expireAt: number | undefined): void {
    const subscription = this.#subscriptions.get(name);
    if (subscription === undefined) return;
    this.#subscriptions.set(name, { ...subscription, expires: expireAt !== undefined });
    this.#client.subscriptionExpires(name, expireAt, subscription.byToken);
  }

  /** Forgets all: the connection has ended, and the library has ended the subscriptions. */
  endAll(): void {
    this.#hasEnded = true;
    for (const name of [...this.#subscriptions.keys()]) this.#forget(name);
  }

  /** The library lost publications for this client. The subscription has ended there. */
  async lost(name: string): Promise<void> {
    const subscription = this.#subscriptions.get(name);
    if (subscription === undefined) {
      if (this.#pending?.has(name)) {
        this.#lostEarly ??= new Set();
        this.#lostEarly.add(name);
      }
      return;
    }
    if (subscription.rights.positioned && subscription.isServerSide) {
      this.#client.closeWith(DISCONNECTS.insufficientState);
    } else if (subscription.rights.positioned) {
      // A move may have begun it anew.
      this.#client.unsubscribe(name);
      this.#forget(name);
      this.#client.pushUnsubscribe(name, UNSUBSCRIBES.insufficientState);
    } else {
      // The client doesn't follow positions: it goes on with what comes.
      await this.#client.subscribe(name, {
        ...this.#optionsOf(subscription),
      });
    }
  }

  #forget(name: string): void {
    const subscription = this.#subscriptions.get(name);
    if (subscription === undefined) return;
    this.#subscriptions.delete(name);
    if (subscription.expires) this.#client.subscriptionExpires(name, undefined, false);
    this.#client.server.registry.unsubscribed(name);
    if (!this.#hasEnded) this.#client.server.observer?.unsubscribed(this.#client, name);
  }

  /** True if a number may stand for another channel already. */
  #has(number: number): boolean {
    for (const { id } of this.#subscriptions.values()) if (id === number) return true;
    const names = [...(this.#pending ?? [])];
    return names.filter((name) => this.#client.server.registry.numberOf(name) === number).length > 1;
  }

  /** Keeps a record; one that other clients have, too, if there is nothing of its own in it. */
  #keep(record: ClientSubscription): void {
    const isPlain = record.filter === undefined && record.rights.delta === undefined && record.info === undefined;
    this.#subscriptions.set(record.channel.name, isPlain ? this.#client.server.registry.shared(record) : record);
  }

  /** Takes all subscriptions out, for `load` of another object of the client. The library keeps them. */
  save(): SubscriptionState[] {
    this.#hasEnded = true;
    const all = [...this.#subscriptions.values()];
    for (const { channel } of all) {
      this.#subscriptions.delete(channel.name);
      this.#client.server.registry.unsubscribed(channel.name);
    }
    return all.map(({ channel, encode: _, ...record }) => ({ ...record, channel: channel.name }));
  }

  /** Goes on with the subscriptions of another object. Those to channels that the config doesn't have any more end. */
  load(all: readonly SubscriptionState[]): void {
    const { server, codec } = this.#client;
    for (const { channel: name, info, ...state } of all) {
      const found = server.channels.of(name);
      if (found.kind !== "known") {
        this.#endUnknown(name, state.isServerSide);
        continue;
      }
      const { id, filter, rights } = state;
      const encode = server.encoder.for({
        codec,
        compact: id !== undefined,
        filter,
        deltas: rights.delta !== undefined,
      });
      server.registry.subscribed(name);
      this.#keep({ ...state, channel: found.channel, info: info && Buffer.from(info), encode });
      this.#client.subscribe(name, { encode }).catch(noop);
    }
  }

  #endUnknown(name: string, isServerSide: boolean): void {
    this.#client.unsubscribe(name);
    if (isServerSide) this.#client.closeWith(DISCONNECTS.insufficientState);
    else this.#client.pushUnsubscribe(name, UNSUBSCRIBES.server);
  }

  #create(
    channel: Channel,
    rights: SubscriptionRights,
    filter: FilterNode | undefined,
    compact: boolean,
    { info, isServerSide, byToken, expireAt }: Admission,
  ): ClientSubscription & { base(publication: Publication): void } {
    const { server, codec } = this.#client;
    const wishes = { codec, compact, filter, deltas: rights.delta !== undefined };
    const { encode, base } = wishes.deltas
      ? withBase((newest) => server.encoder.for(wishes, newest))
      : { encode: server.encoder.for(wishes), base: noop };
    const expires = expireAt !== undefined;
    return { channel, isServerSide, rights, info, id: undefined, byToken, expires, filter, encode, base };
  }

  /** Publications that are missed by a client of a channel in cache mode: the newest one. Otherwise all. */
  #sinceOf(begin: Begin, rights: SubscriptionRights, recovers: boolean) {
    if (rights.recoveryMode === "cache" && (recovers || rights.autoCacheRecover)) return "latest" as const;
    return recovers ? { epoch: begin.epoch, offset: begin.offset } : undefined;
  }

  /** Lets the application fill an empty cache before anybody subscribes. */
  async #fillCache({ name, options }: Channel, { recoveryMode }: SubscriptionRights): Promise<void> {
    const { backend } = this.#client.server;
    if (recoveryMode !== "cache" || !options.cacheMissHookEnabled || backend.cacheMissed === undefined) return;
    const { publications } = await this.#client.history(name, { limit: 1, reverse: true });
    if (publications.length === 0) await backend.cacheMissed(this.#client.facts(), name);
  }

  #filterOf({ tf }: Begin, { options }: Channel): FilterNode | undefined | "bad" {
    if (tf === undefined) return undefined;
    return options.allowTagsFilter && checkFilter(tf) === undefined ? tf : "bad";
  }

  /** Options for the library's own `subscribe`. */
  #optionsOf({ info, channel: { name, options }, rights, encode }: ClientSubscription): SubscribeOptions {
    const { slowConsumerPolicy } = options;
    const plain = { encode, slowConsumerPolicy };
    if (!options.presence && !options.joinLeave) return plain;
    const presenceChanges = options.joinLeave && rights.pushJoinLeave;
    // Neither presence nor joins and leaves may show this client.
    if (!rights.presence && !rights.joinLeave) return { ...plain, hidden: true, presenceChanges };
    const { kept, leftOutBytes } = keptInfo({ ...this.#client.clientInfo, chan_info: info });
    if (leftOutBytes > 0) this.#client.server.observer?.infoLeftOut(this.#client, name, leftOutBytes);
    return { ...plain, user: presenceUser(this.#client.user), info: kept, presenceChanges };
  }
}

/**
 * Returns a function that encodes deltas from a base on, and a function that sets the base. The first base is the
 * publication that came with the answer.
 */
function withBase(encodeFrom: (base: Publication | undefined) => PublicationEncode): {
  readonly encode: PublicationEncode;
  base(publication: Publication): void;
} {
  let newest: Publication | undefined;
  let own: PublicationEncode | undefined;
  return {
    encode: (publication) => {
      own ??= encodeFrom(newest);
      return own(publication);
    },
    base: (publication) => {
      newest = publication;
    },
  };
}
