/**
 * The topics with history or presence that the connections of one shard are subscribed to. Each shard of a board with
 * such topics has one `Feeds`.
 */
import { SwitchboardError } from "../../errors.ts";
import { checkFlag, checkNames } from "../../wire/handshake/option-check.ts";
import { noop } from "../../wire/protocol/empty.ts";
import { isSlowConsumerPolicy, SLOW_CONSUMER_POLICIES } from "../../wire/protocol/slow-consumer-policy.ts";
import type { Address } from "../actor/address.ts";
import type { EngineClient } from "../engine/engine-client.ts";
import type { LocalMember } from "../engine/messages.ts";
import { EndOfTick } from "../scheduling/end-of-tick.ts";
import { isPosition } from "../streams/position.ts";
import { NOTHING_KEPT, type Subscribed, type SubscribeOptions } from "../streams/subscribe.ts";
import type { TopicRule } from "../streams/topic-rules.ts";
import { Feed, type FeedHost, type FeedOwner } from "./feed.ts";
import type { StreamSubscriber, StreamSubscription } from "./stream-subscription.ts";
import { argument, noHistory, noPresence, notAPosition } from "./topics.ts";

/** A connection that subscribes. */
export interface FeedMember extends StreamSubscriber {
  readonly address: Address;
}

/** One connection in one topic with history or presence. */
export interface Membership {
  /** Set on a topic with history. */
  readonly subscription: StreamSubscription | undefined;
  /** The first result. It isn't kept once it has come: who asks later gets what `again` gives. */
  readonly result: Promise<Subscribed>;
  /**
   * Subscribes a second time. Only a `user` or `info` that is given changes; without either, nothing does. Resolves
   * with the place of the first subscription, once that has its result.
   */
  again(options: SubscribeOptions): Promise<Subscribed>;
  /**
   * Ends the membership.
   *
   * @param isReplaced true if another membership of the connection takes its place: presence knows of no leave then
   */
  leave(isReplaced?: boolean): void;
}

/** What a membership begins with. */
interface Entered {
  readonly subscription: StreamSubscription | undefined;
  readonly result: Promise<Subscribed>;
}

const SUBSCRIBE_OPTIONS = [
  "since",
  "encode",
  "deliverAfter",
  "slowConsumerPolicy",
  "hidden",
  "user",
  "info",
  "presenceChanges",
] satisfies (keyof SubscribeOptions)[];

const RETRY_MS = 1_000;
/** Bytes of a user, in UTF-8. */
const MAX_USER_BYTES = 255;
/** Bytes of the JSON of `info`, in UTF-8. */
export const MAX_INFO_BYTES = 4_096;

export class Feeds {
  readonly #client: EngineClient;
  readonly #feeds = new Map<string, Feed>();
  readonly #owner: FeedOwner;

  /** @param retryMs time before the history is read again after a read that failed, in ms */
  constructor(client: EngineClient, host: FeedHost, retryMs = RETRY_MS) {
    this.#client = client;
    this.#owner = { host, client, endOfTick: new EndOfTick(), retryMs, feedClosed: (feed) => this.#forget(feed) };
  }

  /** Number of topics that are held, for tests and metrics. */
  get size(): number {
    return this.#feeds.size;
  }

  /** Subscribes a connection to a topic with a rule, with options that were checked. */
  enter(topic: string, rule: TopicRule, member: FeedMember, options: SubscribeOptions): Membership {
    const feed = this.#feed(topic, rule);
    const isHidden = rule.presence === undefined || options.hidden === true;
    const joined = isHidden ? undefined : join(this.#client, topic, member.address, options, undefined);
    if (options.presenceChanges === true) feed.watch(member);
    const entered = rule.history === undefined ? hold(feed, joined) : feed.subscribe(member, options, joined);
    return new FeedMembership(this.#client, feed, member, entered, joined !== undefined);
  }

  /** Keeps a topic without history wanted, so that messages of other nodes arrive. */
  hold(topic: string, rule: TopicRule | undefined): { readonly wanted: Promise<unknown>; release(): void } {
    const feed = this.#feed(topic, rule);
    return { wanted: feed.hold(), release: () => feed.release() };
  }

  #feed(topic: string, rule: TopicRule | undefined): Feed {
    let feed = this.#feeds.get(topic);
    if (feed === undefined) {
      feed = new Feed(topic, rule, this.#owner);
      this.#feeds.set(topic, feed);
    }
    return feed;
  }

  #forget(feed: Feed): void {
    if (this.#feeds.get(feed.topic) === feed) this.#feeds.delete(feed.topic);
  }
}

class FeedMembership implements Membership {
  readonly #client: EngineClient;
  readonly #feed: Feed;
  readonly #member: FeedMember;
  readonly subscription: StreamSubscription | undefined;
  /** True if the connection is a member in presence. */
  readonly #isShown: boolean;
  /** Undefined once there is a result: a membership may last for days. */
  #pending: Promise<Subscribed> | undefined;
  #left = false;

  constructor(
    client: EngineClient,
    feed: Feed,
    member: FeedMember,
    { subscription, result }: Entered,
    isShown: boolean,
  ) {
    this.#client = client;
    this.#feed = feed;
    this.#member = member;
    this.subscription = subscription;
    this.#isShown = isShown;
    this.#pending = result;
    // A rejection stays: a second subscription gets it as well.
    result.then(() => {
      this.#pending = undefined;
    }, noop);
  }

  get result(): Promise<Subscribed> {
    return this.#pending ?? Promise.resolve(this.#now());
  }

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
    return { ...NOTHING_KEPT, position: this.#feed.positionOf(this.subscription) };
  }

  leave(isReplaced = false): void {
    if (this.#left) return;
    this.#left = true;
    this.#feed.unwatch(this.#member);
    // A leave that fails isn't lost: the member expires.
    if (this.#isShown && !isReplaced) this.#client.leave(this.#feed.topic, this.#member.address).catch(noop);
    if (this.subscription === undefined) this.#feed.release();
    else this.#feed.unsubscribe(this.subscription);
  }
}

/** @param known member whose user and info count where the options have none */
function join(
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

function hold(feed: Feed, joined: Promise<void> | undefined): Entered {
  return { subscription: undefined, result: Promise.all([feed.hold(), joined]).then(() => NOTHING_KEPT) };
}

/** Throws for options that are unknown or make no sense, or that the topic has no use for. */
export function checkSubscribeOptions(topic: string, rule: TopicRule | undefined, options: SubscribeOptions): void {
  checkNames("subscribe", options, SUBSCRIBE_OPTIONS, "ERR_ARGUMENT");
  const { since, encode, deliverAfter, slowConsumerPolicy, hidden, user, info, presenceChanges } = options;
  checkFlag("subscribe", "presenceChanges", presenceChanges);
  checkFlag("subscribe", "hidden", hidden);
  if (slowConsumerPolicy !== undefined && !isSlowConsumerPolicy(slowConsumerPolicy)) {
    throw argument(`slowConsumerPolicy is one of ${SLOW_CONSUMER_POLICIES.join(", ")}`);
  }
  if (encode !== undefined && typeof encode !== "function") throw argument("encode takes a function");
  if (deliverAfter !== undefined && !(deliverAfter instanceof Promise)) throw argument("deliverAfter takes a promise");
  if (since !== undefined) {
    if (rule?.history === undefined) throw noHistory(topic);
    if (since !== "latest" && !isPosition(since)) throw notAPosition("since");
  }
  if (user === undefined && info === undefined && presenceChanges !== true) return;
  if (rule?.presence === undefined) throw noPresence(topic);
  if (presenceChanges === true && !rule.presence.changes) {
    throw argument(`presenceChanges: changes of presence are switched off for the topic ${JSON.stringify(topic)}`);
  }
  if (user !== undefined && !isUser(user)) {
    throw argument(`user takes a string of 1 to ${MAX_USER_BYTES} bytes`);
  }
  const infoBytes = info === undefined ? 0 : Buffer.byteLength(toJson(info));
  if (infoBytes > MAX_INFO_BYTES)
    throw argument(`info takes at most ${MAX_INFO_BYTES} bytes of JSON, got ${infoBytes}`);
}

/** Half of a surrogate pair has no UTF-8: two users would become one. */
function isUser(user: unknown): boolean {
  return typeof user === "string" && user !== "" && user.isWellFormed() && Buffer.byteLength(user) <= MAX_USER_BYTES;
}

function toJson(info: unknown): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(info);
  } catch (cause) {
    throw new SwitchboardError("ERR_ARGUMENT", "info takes a value that JSON can hold", { cause });
  }
  if (json === undefined) throw argument(`info takes a value that JSON can hold, got ${typeof info}`);
  return json;
}
