/**
 * The topics with history or presence that the connections of one shard are subscribed to. Each shard of a board with
 * such topics has one `Feeds`.
 */
import type { EngineClient } from "../engine/client/engine-client.ts";
import { EndOfTick } from "../scheduling/end-of-tick.ts";
import { NOTHING_KEPT, type SubscribeOptions } from "../streams/subscribe.ts";
import type { TopicRule } from "../streams/topic-rules.ts";
import { Feed, type FeedOwner } from "./feed.ts";
import type { FeedHost } from "./feed-host.ts";
import { type FeedMember, join, Membership, type MembershipOwner, type MembershipState } from "./membership.ts";
import { type ComingLuggage, ComingTopics } from "./moving/coming-topics.ts";

const RETRY_MS = 1_000;

/** Names a move of connections to this thread. */
export interface MoveName {
  /** Life of the thread that is left. */
  readonly from: number;
  /** Number of the move there. */
  readonly move: number;
}

export class Feeds {
  readonly #client: EngineClient;
  readonly #feeds = new Map<string, Feed>();
  readonly #owner: FeedOwner;
  /** Moves of connections to this thread that are under way. */
  readonly #coming = new Map<string, ComingTopics>();

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
    const { subscription, result } =
      rule.history === undefined
        ? { subscription: undefined, result: Promise.all([feed.hold(), joined]).then(() => NOTHING_KEPT) }
        : feed.subscribe(member, options, joined);
    const watches = options.presenceChanges === true;
    const isShown = joined !== undefined;
    const membership = new Membership({ client: this.#client, feed, member, subscription, result, isShown, watches });
    if (watches) feed.watchers.add(membership);
    return membership;
  }

  /** Keeps a topic without history wanted, so that messages of other nodes arrive. */
  hold(topic: string, rule: TopicRule | undefined): { readonly wanted: Promise<unknown>; release(): void } {
    const feed = this.#feed(topic, rule);
    return { wanted: feed.hold(), release: () => feed.release() };
  }

  /** Resolves when everything that is published to the topics of now arrives, or can't be asked for. */
  wanted(): Promise<unknown> {
    return Promise.allSettled(Array.from(this.#feeds.values(), (feed) => feed.wanted));
  }

  // ── connections that come from another thread ──────────────────────────────────────────────────────────

  /**
   * Prepares the topics of connections that are to come. `prepared` rejects if the engine can't be asked. Then call
   * `ended`.
   */
  expect(
    name: MoveName,
    luggage: ComingLuggage,
    ruleOf: (topic: string) => TopicRule | undefined,
  ): { readonly prepared: Promise<unknown>; ended(): void } {
    const coming = new ComingTopics(luggage, this.#client, (topic) => this.#feed(topic, ruleOf(topic)));
    const key = keyOf(name);
    this.#coming.set(key, coming);
    return {
      prepared: coming.prepared,
      ended: () => {
        if (this.#coming.get(key) === coming) this.#coming.delete(key);
        coming.ended();
      },
    };
  }

  /** The engine thread has made its cut for a move. */
  marked(name: MoveName): void {
    this.#coming.get(keyOf(name))?.marked();
  }

  /**
   * A connection has come. It gets everything after its place from `Membership.arrived` on. The result rejects if the
   * engine can't be asked.
   *
   * @param owner is told if the membership ends by itself
   * @param name undefined for a connection that comes without notice, such as one from another process
   */
  arrive(
    topic: string,
    rule: TopicRule,
    member: FeedMember,
    { place, member: shown, watches }: MembershipState,
    name: MoveName | undefined,
    owner: MembershipOwner,
  ): Membership {
    const feed = this.#feed(topic, rule);
    const coming = name && this.#coming.get(keyOf(name));
    const isJoined = shown === undefined || coming?.takeMember(topic, member.address) === true;
    const subscription = place && rule.history && feed.moves.arrive(member, place);
    if (subscription === undefined) void feed.hold();
    const begun = coming && Promise.withResolvers<void>();
    const result = begun === undefined ? feed.comes : begun.promise.then(() => feed.comes);
    const isShown = shown !== undefined;
    const membership = new Membership({
      client: this.#client,
      feed,
      member,
      subscription,
      result,
      isShown,
      watches,
      owner,
    });
    if (!isJoined) this.#client.joinAgain(topic, shown, membership);
    if (coming === undefined) membership.begin(undefined);
    else {
      coming.whenMarked(topic, (since) => {
        membership.begin(since);
        begun?.resolve();
      });
    }
    return membership;
  }

  /**
   * The memberships of a connection have been saved: another thread has joined its members already, or another process
   * joins them soon.
   */
  letGo(member: FeedMember, topics: readonly string[]): void {
    this.#client.letGo(member.address, topics);
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

function keyOf({ from, move }: MoveName): string {
  return `${from} ${move}`;
}
