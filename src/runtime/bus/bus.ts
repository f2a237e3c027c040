/**
 * One thread's end of the bus: its subscribers, and a link to every other thread. Each shard and the main thread have
 * one.
 */
import type { MessagePort } from "node:worker_threads";
import type { Frame } from "../../wire/protocol/frame.ts";
import type { PublishResult } from "../actor/context/publish-result.ts";
import { EndOfTick } from "../scheduling/end-of-tick.ts";
import { FairScheduler } from "../scheduling/fair-scheduler.ts";
import type { Encode } from "../streams/publication.ts";
import { encoded } from "../streams/publication.ts";
import { NOTHING_KEPT, type Subscribed } from "../streams/subscribe.ts";
import { type AudienceOwner, deliverTo, type LocalResult, type Subscriber } from "./audience.ts";
import { type InterestChange, Link, type LinkOwner, type LinkSchedule } from "./link.ts";
import { checkTopic, isWanted, type Topic, TopicIndex } from "./topic-index.ts";
import type { Encoding } from "./variants.ts";

export interface BusOwner extends AudienceOwner {
  /** A publish was dropped because the other thread is too far behind. */
  publishDropped(): void;
  /**
   * A topic has its first subscriber in this thread. The promise resolves when what other nodes publish arrives, too;
   * undefined if there are none.
   */
  firstSubscribed?(topic: string): Promise<unknown> | undefined;
  lastUnsubscribed?(topic: string): void;
  /** A batch of publishes arrived from another thread. The lag runs from the end of the tick that made them. */
  batchArrived?(lagSeconds: number): void;
}

export const NOBODY: PublishResult = Object.freeze({
  delivered: 0,
  buffered: 0,
  dropped: 0,
  closed: 0,
  remote: 0,
  remoteDropped: 0,
});

/**
 * A publish reaches the subscribers of this thread at once. It leaves for other threads at the end of the tick, and
 * only for threads with subscribers of the topic. The main thread has no subscribers; it only publishes.
 *
 * Order per publisher and topic holds because both ways keep it: local delivery happens inside `publish`, and each link
 * is one ordered port.
 *
 * Deliveries from other threads get a bounded part of each turn of the event loop, however many publishes come and
 * however many subscribers there are. One publish is delivered whole; the next may wait for the next turn. That part
 * has turns of its own: with shared turns, publishes would arrive the later, the busier their receivers are.
 */
export class Bus {
  readonly #topics = new TopicIndex<Link>();
  readonly #links = new Set<Link>();
  readonly #owner: BusOwner;
  readonly #schedule: LinkSchedule;
  /**
   * Resolves when all threads know the changes of this tick. One promise serves all subscriptions of a tick: there may
   * be thousands.
   */
  #known: Promise<Subscribed> | undefined;

  /** @param turns for the links alone */
  constructor(owner: BusOwner, turns = new FairScheduler()) {
    this.#owner = owner;
    this.#schedule = { turns, endOfTick: new EndOfTick() };
  }

  /** Connects this thread to another. Resolves when this thread knows all topics that the other thread wants. */
  async addLink(port: MessagePort): Promise<void> {
    const interest: InterestChange[] = [];
    for (const topic of this.#topics.values()) {
      if (isWanted(topic)) interest.push({ kind: "add", topic: topic.name, id: topic.id });
    }
    const link = new Link(port, interest, this.#schedule, this.#linkOwner);
    this.#links.add(link);
    // The promise of this tick would not cover the new link.
    this.#known = undefined;
    await link.synced;
  }

  /**
   * Adds a subscriber. Resolves when every thread knows, so that every publish that starts later arrives. Throws
   * `ERR_TOPIC`.
   *
   * @param encode how messages look to the subscriber's peer. Default: as they were published
   */
  subscribe(name: string, subscriber: Subscriber, encode?: Encode): Promise<Subscribed> {
    checkTopic(name);
    const topic = this.#topics.getOrCreate(name);
    // A second subscriber waits as well: the first one's interest may still be on its way.
    if (this.#topics.addSubscriber(topic, subscriber, encode)) {
      const known = this.#announce({ kind: "add", topic: name, id: topic.id });
      const wanted = this.#owner.firstSubscribed?.(name);
      topic.known = wanted === undefined ? known : Promise.all([known, wanted]).then(nothingKept);
    }
    return topic.known;
  }

  /** @param encode that of the subscription */
  unsubscribe(name: string, subscriber: Subscriber, encode?: Encode): void {
    const topic = this.#topics.get(name);
    if (topic === undefined || !this.#topics.deleteSubscriber(topic, subscriber, encode)) return;
    void this.#announce({ kind: "remove", topic: name });
    this.#owner.lastUnsubscribed?.(name);
    this.#topics.prune(topic);
  }

  publish(name: string, frame: Frame, except?: Subscriber): PublishResult {
    checkTopic(name);
    const topic = this.#topics.get(name);
    if (topic === undefined) return NOBODY;
    const result = { ...this.#deliver(topic, frame, except), remote: 0, remoteDropped: 0 };
    for (const { link, id } of topic.remotes) {
      if (link.publish(id, frame)) {
        result.remote++;
      } else {
        result.remoteDropped++;
        this.#owner.publishDropped();
      }
    }
    return result;
  }

  /** Gives a message of another node to the subscribers of this thread. */
  deliver(name: string, frame: Frame): void {
    const topic = this.#topics.get(name);
    if (topic !== undefined) this.#deliver(topic, frame);
  }

  #deliver(topic: Topic<Link>, frame: Frame, except?: Subscriber): LocalResult {
    const result = deliverTo(topic, frame, this.#owner, except);
    if (topic.encoded === undefined) return result;
    const { name } = topic;
    const record = { offset: 0, timeMs: Date.now(), frame };
    const failed = (subscriber: Subscriber, error: unknown): void => subscriber.encodeFailed?.(error, name);
    const frameOf = (encode: Encoding): Frame | undefined => encoded(name, "", record, encode);
    const others = topic.encoded.deliver(frameOf, this.#owner, failed, except);
    return {
      delivered: result.delivered + others.delivered,
      buffered: result.buffered + others.buffered,
      dropped: result.dropped + others.dropped,
      closed: result.closed + others.closed,
    };
  }

  close(): void {
    for (const link of this.#links) link.close();
  }

  #announce(change: InterestChange): Promise<Subscribed> {
    if (this.#known !== undefined) {
      for (const link of this.#links) void link.changeInterest(change);
      return this.#known;
    }
    this.#known = Promise.all([...this.#links].map((link) => link.changeInterest(change))).then(nothingKept);
    this.#schedule.endOfTick.add(this.#forgetKnown);
    return this.#known;
  }

  readonly #linkOwner: LinkOwner = {
    interestChanged: (link, changes) => {
      for (const change of changes) {
        if (change.kind === "add") {
          const topic = this.#topics.getOrCreate(change.topic);
          topic.remotes = [...topic.remotes, { link, id: change.id }];
        } else {
          const topic = this.#topics.get(change.topic);
          if (topic !== undefined) this.#dropRemote(topic, link);
        }
      }
    },
    published: (topicId, frame) => {
      const topic = this.#topics.getById(topicId);
      if (topic === undefined) return 0;
      const { delivered, buffered, dropped, closed } = this.#deliver(topic, frame);
      return delivered + buffered + dropped + closed;
    },
    batchArrived: (lagSeconds) => this.#owner.batchArrived?.(lagSeconds),
    linkClosed: (link) => {
      this.#links.delete(link);
      for (const topic of [...this.#topics.values()]) this.#dropRemote(topic, link);
    },
  };

  readonly #forgetKnown = (): void => {
    this.#known = undefined;
  };

  #dropRemote(topic: Topic<Link>, link: Link): void {
    topic.remotes = topic.remotes.filter((remote) => remote.link !== link);
    this.#topics.prune(topic);
  }
}

function nothingKept(): Subscribed {
  return NOTHING_KEPT;
}
