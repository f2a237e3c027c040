/**
 * One thread's end of the bus: its subscribers, and a link to every other thread. Each shard and the main thread have
 * one.
 */
import { setImmediate as immediate } from "node:timers/promises";
import type { MessagePort } from "node:worker_threads";
import { noop } from "../../wire/protocol/empty.ts";
import type { Frame } from "../../wire/protocol/frame.ts";
import type { PublishResult } from "../actor/context/publish-result.ts";
import { EndOfTick } from "../scheduling/end-of-tick.ts";
import { FairScheduler } from "../scheduling/fair-scheduler.ts";
import type { Encode } from "../streams/publication.ts";
import { NOTHING_KEPT, type Subscribed } from "../streams/subscribe.ts";
import { type AudienceOwner, addResult, type LocalResult, type Subscriber } from "./audience.ts";
import { deliverToAll } from "./delivery.ts";
import { type InterestChange, Link, type LinkOwner, type LinkSchedule } from "./link.ts";
import { BusMoves, type LeaveOptions } from "./moving/bus-moves.ts";
import type { BusSubscription, Departure, Leaver, Ticket } from "./moving/move.ts";
import type { ComingPreparation, MovesHost } from "./moving/moves-host.ts";
import { ENGINE_ORIGIN } from "./moving/moving-subscribers.ts";
import { checkTopic, isWanted, type Topic, TopicIndex } from "./topic-index.ts";

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
  /**
   * Subscribers are coming from another thread.
   *
   * @param luggage what `leaveFor` was given there
   * @param wanted resolves when what other nodes publish to their topics arrives here
   */
  subscribersComing?(
    from: number,
    move: number,
    luggage: unknown,
    wanted: Promise<unknown>,
  ): ComingPreparation | undefined;
}

export interface BusSettings {
  /** Number of this thread, unique among all threads that are ever linked. Default: 0, the main thread. */
  readonly life?: number;
  /** Turns for the links alone. */
  readonly turns?: FairScheduler;
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
  readonly #life: number;
  readonly #moves: BusMoves;

  constructor(owner: BusOwner, { life = 0, turns = new FairScheduler() }: BusSettings = {}) {
    this.#owner = owner;
    this.#life = life;
    this.#schedule = { turns, endOfTick: new EndOfTick() };
    this.#moves = new BusMoves(this.#movesHost);
  }

  /**
   * Connects this thread to another. Resolves when this thread knows all topics that the other thread wants.
   *
   * @param life number of the other thread
   */
  async addLink(port: MessagePort, life = 0): Promise<void> {
    const interest: InterestChange[] = [];
    for (const topic of this.#topics.values()) {
      if (isWanted(topic)) interest.push({ kind: "add", topic: topic.name, id: topic.id });
    }
    const link = new Link(port, life, interest, this.#schedule, this.#linkOwner);
    this.#links.add(link);
    this.#moves.linkOpened();
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
    if (topic.moving?.some((moving) => moving.has(subscriber, encode))) return topic.known;
    // A second subscriber waits as well: the first one's interest may still be on its way.
    if (this.#topics.addSubscriber(topic, subscriber, encode)) this.#want(topic);
    return topic.known;
  }

  /** Tells all threads, and the owner, that a topic is wanted here. */
  #want(topic: Topic<Link>): void {
    const known = this.#announce({ kind: "add", topic: topic.name, id: topic.id });
    const wanted = this.#owner.firstSubscribed?.(topic.name);
    topic.known = wanted === undefined ? known : Promise.all([known, wanted]).then(nothingKept);
  }

  /** @param encode that of the subscription */
  unsubscribe(name: string, subscriber: Subscriber, encode?: Encode): void {
    const topic = this.#topics.get(name);
    if (topic === undefined || topic.moving?.some((moving) => moving.delete(subscriber, encode))) return;
    if (this.#topics.deleteSubscriber(topic, subscriber, encode)) this.#unwant(topic);
  }

  #unwant(topic: Topic<Link>): void {
    void this.#announce({ kind: "remove", topic: topic.name });
    this.#owner.lastUnsubscribed?.(topic.name);
    this.#topics.prune(topic);
  }

  /**
   * Begins to move subscribers to another thread. `ready` of the result rejects if the move is called off: see
   * README.md.
   */
  leaveFor<L extends Leaver>(life: number, leavers: readonly L[], options: LeaveOptions<L> = {}): Departure<L> {
    return this.#moves.leaveFor(life, leavers, options);
  }

  /**
   * Subscribes a connection that has left another thread. Resolves when it has got everything that was published since,
   * and is an ordinary subscriber.
   */
  arrive(ticket: Ticket, subscriptions: readonly BusSubscription[]): Promise<void> {
    return this.#moves.arrive(ticket, subscriptions);
  }

  /** A connection that has left another thread won't arrive. */
  abandon(ticket: Ticket): void {
    this.#moves.abandon(ticket);
  }

  /** The engine thread has made its cut for a move: see `subscribersComing`. */
  engineMarked(from: number, move: number): void {
    this.#moves.marked(ENGINE_ORIGIN, from, move);
  }

  publish(name: string, frame: Frame, except?: Subscriber): PublishResult {
    checkTopic(name);
    const topic = this.#topics.get(name);
    if (topic === undefined) return NOBODY;
    const result = { ...this.#deliver(topic, frame, this.#life, except), remote: 0, remoteDropped: 0 };
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
    if (topic !== undefined) this.#deliver(topic, frame, ENGINE_ORIGIN);
  }

  #deliver(topic: Topic<Link>, frame: Frame, origin: number, except?: Subscriber): LocalResult {
    const result = deliverToAll(topic, frame, this.#owner, except);
    if (topic.moving === undefined) return result;
    const all = { ...result };
    for (const moving of topic.moving) addResult(all, moving.take(frame, origin, except));
    return all;
  }

  /**
   * Resolves when everything that this tick and those before have published has been delivered in the other threads,
   * and when these know which topics are wanted here.
   */
  async settled(): Promise<void> {
    // Mail of this tick leaves at its end, on the same ports.
    await immediate();
    await Promise.all([...this.#links].map((link) => link.settled()));
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
    published: (topicId, frame, { life }) => {
      const topic = this.#topics.getById(topicId);
      if (topic === undefined) return 0;
      const { delivered, buffered, dropped, closed } = this.#deliver(topic, frame, life);
      return delivered + buffered + dropped + closed;
    },
    batchArrived: (lagSeconds) => this.#owner.batchArrived?.(lagSeconds),
    moveTold: (link, message) => this.#moves.told(link, message),
    linkEnded: (link) => this.#moves.linkEnded(link),
    linkClosed: (link) => {
      this.#links.delete(link);
      for (const topic of [...this.#topics.values()]) this.#dropRemote(topic, link);
    },
  };

  get #movesHost(): MovesHost {
    return {
      life: this.#life,
      topics: this.#topics,
      audience: this.#owner,
      links: () => [...this.#links],
      beginMoving: (topic, subscribers) => {
        if (this.#topics.addMoving(topic, subscribers)) this.#want(topic);
        return topic.known;
      },
      endMoving: (topic, subscribers) => {
        if (this.#topics.deleteMoving(topic, subscribers)) this.#unwant(topic);
      },
      subscribe: (topic, subscriber, encode) => this.subscribe(topic, subscriber, encode).catch(noop),
      dropped: () => this.#owner.publishDropped(),
      subscribersComing: (...coming) => this.#owner.subscribersComing?.(...coming),
    };
  }

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
