/**
 * The topics with history or presence of connections that are on their way to this thread: held, and remembered, before
 * the other thread lets go. `Feeds` has one `ComingTopics` for each move.
 */
import { noop } from "../../../wire/protocol/empty.ts";
import type { EngineClient } from "../../engine/client/engine-client.ts";
import type { LocalMember } from "../../engine/messages.ts";
import type { Feed } from "../feed.ts";
import { WaitingPresence } from "../presence-watchers.ts";
import type { StreamSubscription } from "../stream-subscription.ts";

/** Topics and members of a move, which the thread that is left sends ahead. Plain data. */
export interface ComingLuggage {
  /** Topics with history or presence. */
  readonly topics: readonly string[];
  /** Members of presence, each in one topic. */
  readonly members: readonly (readonly [topic: string, member: LocalMember])[];
}

/**
 * Publications and changes of presence that have come for a topic since the cut: the connections get them, and the
 * other thread doesn't deliver them.
 */
export interface SinceCut {
  /** Number of the first publication that isn't stored. */
  readonly nextUnstored: number;
  readonly presence: WaitingPresence;
}

/** One topic. */
class ComingTopic implements SinceCut {
  readonly feed: Feed;
  /** Keeps the feed remembering. It never goes live. */
  readonly #shadow: StreamSubscription;
  readonly presence = new WaitingPresence();

  constructor(feed: Feed) {
    this.feed = feed;
    this.#shadow = feed.moves.shadow();
    feed.moves.begin(this.#shadow);
    feed.watchers.add(this.presence);
  }

  get nextUnstored(): number {
    return this.#shadow.nextUnstored;
  }

  /** The cut is made: everything that came so far is delivered by the other thread. */
  marked(): void {
    this.feed.moves.begin(this.#shadow);
    this.presence.clear();
  }

  ended(): void {
    this.feed.watchers.delete(this.presence);
    this.feed.subscriptions.end(this.#shadow);
  }
}

export class ComingTopics {
  readonly #client: EngineClient;
  readonly #topics = new Map<string, ComingTopic>();
  /** Members that this thread has joined for connections that aren't here. */
  readonly #members = new Map<string, readonly [topic: string, member: LocalMember]>();
  /** Called at the cut. */
  #waiting: (() => void)[] | undefined = [];
  /** Resolves when all topics arrive here, and all members are known here as well. */
  readonly prepared: Promise<unknown>;

  /** @param feedOf returns the feed of a topic, which the caller holds until `ended` */
  constructor({ topics, members }: ComingLuggage, client: EngineClient, feedOf: (topic: string) => Feed) {
    this.#client = client;
    const wanted = topics.map((topic) => {
      const feed = feedOf(topic);
      this.#topics.set(topic, new ComingTopic(feed));
      return feed.wanted;
    });
    const joined = members.map(([topic, member]) => {
      this.#members.set(keyOf(topic, member.address), [topic, member]);
      return client.join(topic, member);
    });
    this.prepared = Promise.all([...wanted, ...joined]);
  }

  /** The engine thread has made its cut: what comes from here on isn't delivered by the other thread. */
  marked(): void {
    if (this.#waiting === undefined) return;
    for (const topic of this.#topics.values()) topic.marked();
    this.#begin();
  }

  /** Calls back at the cut; at once if the cut has been. */
  whenMarked(topic: string, callback: (since: SinceCut | undefined) => void): void {
    const begin = (): void => callback(this.#topics.get(topic));
    if (this.#waiting === undefined) begin();
    else this.#waiting.push(begin);
  }

  /** A connection has come, and is a member from now on. Returns false if this thread hasn't joined it. */
  takeMember(topic: string, address: string): boolean {
    return this.#members.delete(keyOf(topic, address));
  }

  /** All connections that have left the other thread are here. The members of those that stayed there leave here. */
  ended(): void {
    this.#begin();
    for (const [topic, { address }] of this.#members.values()) this.#client.leave(topic, address).catch(noop);
    this.#members.clear();
    for (const topic of this.#topics.values()) topic.ended();
    this.#topics.clear();
  }

  #begin(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const begin of waiting) begin();
  }
}

function keyOf(topic: string, address: string): string {
  return `${address} ${topic}`;
}
