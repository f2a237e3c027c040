import type { MessagePort } from "node:worker_threads";
import type { Frame } from "../../wire/protocol/frame.ts";
import type { PublishResult } from "../actor/flow.ts";
import { EndOfTick } from "../scheduling/end-of-tick.ts";
import { Turns } from "../scheduling/turns.ts";
import { type InterestChange, Link, type LinkOwner, type LinkSchedule } from "./link.ts";
import { type Cohort, checkTopic, type Subscriber, type Topic, TopicIndex } from "./topic-index.ts";

/** So many subscribers a topic has at least whose publishes go to cohorts. */
const COHORT_PAYS_FROM = 8;

export interface BusOwner {
  /** A publish was dropped on its way to a thread that is too far behind. */
  publishDropped(): void;
  /** A publish was handed to so many subscribers here. */
  delivered?(count: number): void;
  /** For the subscribers of this thread. Default: each is dealt with alone. */
  newCohort?(): Cohort;
  /** Publishes arrived from another thread, so long after the end of the tick that they were made in. */
  batchArrived?(lagSeconds: number): void;
}

type LocalResult = Pick<PublishResult, "delivered" | "buffered" | "dropped" | "closed">;

const NOBODY: PublishResult = Object.freeze({
  delivered: 0,
  buffered: 0,
  dropped: 0,
  closed: 0,
  remote: 0,
  remoteDropped: 0,
});

/**
 * One thread's end of the bus: its subscribers, and a direct link to every other thread (the main thread is one that only
 * publishes). A publish reaches local subscribers at once and leaves for other threads at the end of the tick, only for
 * those that want the topic.
 *
 * Order per publisher and topic holds because both ways keep it: local delivery happens inside `publish`, and each link is one
 * ordered port.
 *
 * What comes over the links may take a part of each turn of the event loop, and no more, however many publishes come at once and however
 * many subscribe: one publish is delivered whole, the next may wait for the next turn. It is a part of its own, because publishes aren't
 * their receivers' doing: these would get them the later, the more of them have much to do.
 */
export class Bus {
  readonly #topics = new TopicIndex<Link>();
  readonly #links = new Set<Link>();
  readonly #owner: BusOwner;
  readonly #schedule: LinkSchedule;
  /** Resolves when all threads know what changed in this tick: one promise for all of its subscriptions, of which there may be thousands. */
  #known: Promise<void> | undefined;

  /** @param turns of the links, and of nobody else */
  constructor(owner: BusOwner, turns = new Turns()) {
    this.#owner = owner;
    this.#schedule = { turns, endOfTick: new EndOfTick() };
  }

  /** Connects this thread to another. Resolves when all that the other wants is known here. */
  async addLink(port: MessagePort): Promise<void> {
    const interest: InterestChange[] = [];
    for (const topic of this.#topics.values()) {
      if (topic.subscribers.size > 0) interest.push({ kind: "add", topic: topic.name, id: topic.id });
    }
    const link = new Link(port, interest, this.#schedule, this.#linkOwner);
    this.#links.add(link);
    // It is of all links.
    this.#known = undefined;
    await link.synced;
  }

  /** Delivers locally from now on; resolves when every thread knows, so that every publish that starts later arrives. */
  subscribe(name: string, subscriber: Subscriber): Promise<void> {
    checkTopic(name);
    const topic = this.#topics.getOrCreate(name);
    this.#topics.addSubscriber(topic, subscriber);
    // Also for a second subscriber: the first one's interest may still be on its way.
    if (topic.subscribers.size === 1) topic.known = this.#announce({ kind: "add", topic: name, id: topic.id });
    return topic.known;
  }

  unsubscribe(name: string, subscriber: Subscriber): void {
    const topic = this.#topics.get(name);
    if (topic === undefined || !this.#topics.deleteSubscriber(topic, subscriber)) return;
    // As many as are left in it might be others than those that are left.
    topic.cohort = undefined;
    if (topic.subscribers.size > 0) return;
    void this.#announce({ kind: "remove", topic: name });
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

  close(): void {
    for (const link of this.#links) link.close();
  }

  #deliver(topic: Topic<Link>, frame: Frame, except?: Subscriber): LocalResult {
    const { name, subscribers } = topic;
    const result = { delivered: 0, buffered: 0, dropped: 0, closed: 0 };
    const absent = except !== undefined && subscribers.has(except) ? except : undefined;
    const receivers = subscribers.size - (absent === undefined ? 0 : 1);
    if (topic.cohort?.size === receivers && topic.absent === absent && topic.cohort.append(frame)) {
      result.delivered = receivers;
      this.#owner.delivered?.(receivers);
      return result;
    }
    const cohort = receivers < COHORT_PAYS_FROM ? undefined : this.#owner.newCohort?.();
    topic.cohort = cohort;
    topic.absent = absent;
    for (const subscriber of subscribers) {
      if (subscriber === absent) continue;
      const outcome = subscriber.deliver(frame, name, cohort);
      if (outcome === "sent") result.delivered++;
      else result[outcome]++;
    }
    this.#owner.delivered?.(result.delivered + result.buffered + result.dropped);
    return result;
  }

  #announce(change: InterestChange): Promise<void> {
    if (this.#known !== undefined) {
      for (const link of this.#links) void link.changeInterest(change);
      return this.#known;
    }
    this.#known = Promise.all([...this.#links].map((link) => link.changeInterest(change))).then(nothing);
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
      this.#deliver(topic, frame);
      return topic.subscribers.size;
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

function nothing(): void {}
