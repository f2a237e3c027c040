/** One move of subscribers from another thread, in the thread that they go to. `BusMoves` has those under way. */
import type { Frame } from "../../../wire/protocol/frame.ts";
import type { LocalResult, Subscriber } from "../audience.ts";
import type { Link } from "../link.ts";
import type { Encoding } from "../variants.ts";
import { KeptMessages } from "./kept-messages.ts";
import { type ComingSubscribers, decide, MoveState } from "./messages.ts";
import type { BusSubscription } from "./move.ts";
import type { ComingPreparation, MovesHost } from "./moves-host.ts";
import type { MovingSubscribers } from "./moving-subscribers.ts";

/** Bytes of messages for subscribers that are coming. Beyond them the move is called off, if it isn't decided. */
const MAX_BYTES = 16 * 1024 * 1024;
/** Bytes of messages for subscribers that have left the other thread. Beyond them messages are dropped, and counted. */
const MAX_BYTES_DECIDED = 64 * 1024 * 1024;
/** Time in ms that connections which have left may take to be put together here. */
const ARRIVAL_MS = 10_000;
const NOBODY: LocalResult = Object.freeze({ delivered: 0, buffered: 0, dropped: 0, closed: 0 });

/** A connection that has been put together. */
interface Arrived {
  /** Subscriptions by topic. */
  readonly subscriptions: Map<string, BusSubscription>;
  readonly writtenOut: PromiseWithResolvers<void>;
}

export interface ArrivingSettings {
  readonly coming: ComingSubscribers;
  /** Link to the thread that the subscribers leave. */
  readonly link: Link;
  /** Lives of the threads whose marks are awaited, and `ENGINE_ORIGIN`. */
  readonly awaited: Iterable<number>;
  readonly host: MovesHost;
  /** The move is over in this thread. */
  readonly ended: () => void;
}

export class Arriving {
  readonly #settings: ArrivingSettings;
  readonly #topics = new Map<string, MovingSubscribers>();
  /** Messages published for the subscribers since the marks: the shadow of the subscribers. */
  readonly #shadow = new KeptMessages();
  readonly #awaited: Set<number>;
  /** Connections that are here, and wait for marks. */
  readonly #arrived = new Map<number, Arrived>();
  /** Seats of connections that have left and aren't ordinary subscribers here; undefined until they have left. */
  #expected: Set<number> | undefined;
  /** Seats that were written out or abandoned before all have left. */
  readonly #done = new Set<number>();
  readonly #preparation: ComingPreparation | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(settings: ArrivingSettings) {
    this.#settings = settings;
    const { coming, link, awaited, host } = settings;
    this.#awaited = new Set(awaited);
    const wanted = coming.topics.map((name, index) => this.#begin(name, coming.counts[index] ?? 0));
    const all = Promise.all(wanted);
    this.#preparation = host.subscribersComing(link.life, coming.move, coming.luggage, all);
    const prepared = this.#preparation?.prepared ?? all;
    prepared.then(
      () => link.tell({ kind: "prepared", move: coming.move }),
      () => this.#refuse("the other thread can't subscribe to the topics"),
    );
  }

  #begin(name: string, count: number): Promise<unknown> {
    const { topics, beginMoving } = this.#settings.host;
    const subscribers: MovingSubscribers = {
      take: (frame, origin, except) => this.#take(name, count, frame, origin, except),
      has: (subscriber, encode) => this.#find(name, subscriber, encode) !== undefined,
      delete: (subscriber, encode) => this.#find(name, subscriber, encode)?.subscriptions.delete(name) === true,
    };
    this.#topics.set(name, subscribers);
    return beginMoving(topics.getOrCreate(name), subscribers);
  }

  #find(name: string, subscriber: Subscriber, encode: Encoding): Arrived | undefined {
    for (const arrived of this.#arrived.values()) {
      const subscription = arrived.subscriptions.get(name);
      if (subscription?.subscriber === subscriber && subscription.encode === encode) return arrived;
    }
    return undefined;
  }

  /** Keeps a message of a thread that has made its cut: the other thread delivers those before. */
  #take(name: string, count: number, frame: Frame, origin: number, except: Subscriber | undefined): LocalResult {
    if (this.#awaited.has(origin)) return NOBODY;
    if (this.#shadow.bytes > MAX_BYTES_DECIDED) {
      this.#settings.host.dropped();
      return NOBODY;
    }
    this.#shadow.add(name, frame, except);
    if (this.#shadow.bytes > MAX_BYTES) this.#refuse("the other thread has no room for what is published meanwhile");
    return { ...NOBODY, buffered: count };
  }

  // ── from the other threads ─────────────────────────────────────────────────────────────────────────────

  /** A thread has made its cut: what comes from there now is for the subscribers in this thread. */
  marked(origin: number): void {
    this.#awaited.delete(origin);
    this.#check();
  }

  /** These leavers have left the other thread. */
  left(seats: readonly number[]): void {
    this.#expected = new Set(seats.filter((seat) => !this.#done.has(seat)));
    this.#timer = setTimeout(() => this.end(), ARRIVAL_MS);
    this.#timer.unref();
    this.#check();
  }

  /** A thread has ended, and everything that came from there has been delivered. */
  ended(origin: number): void {
    // A thread that has sent neither its mark nor the list of leavers has had its subscribers to the end.
    const isOpen = this.#awaited.has(origin) || this.#expected === undefined;
    if (origin === this.#settings.link.life && isOpen) this.end();
    else this.marked(origin);
  }

  /** Calls the move off, if it isn't decided. */
  #refuse(reason: string): void {
    const { coming, link } = this.#settings;
    if (this.#isOver || !decide(coming.state, MoveState.calledOff)) return;
    link.tell({ kind: "calledOff", from: link.life, move: coming.move, reason });
    this.end();
  }

  // ── from the mover ─────────────────────────────────────────────────────────────────────────────────────

  /** A connection has been put together. Resolves when it is an ordinary subscriber. */
  arrive(seat: number, subscriptions: readonly BusSubscription[]): Promise<void> {
    const arrived = {
      subscriptions: new Map(subscriptions.map((one) => [one.topic, one])),
      writtenOut: Promise.withResolvers<void>(),
    };
    this.#arrived.set(seat, arrived);
    this.#check();
    return arrived.writtenOut.promise;
  }

  /** A connection couldn't be put together. */
  abandon(seat: number): void {
    this.#finish(seat);
    this.#check();
  }

  /** Writes out the shadow to all that are here, once all threads have made their cuts. */
  #check(): void {
    if (this.#isOver || this.#awaited.size > 0) return;
    for (const [seat, arrived] of this.#arrived) this.#writeOut(seat, arrived);
    if (this.#expected?.size === 0) this.end();
  }

  #writeOut(seat: number, { subscriptions, writtenOut }: Arrived): void {
    const { host } = this.#settings;
    this.#shadow.deliverTo(subscriptions, host.audience);
    this.#finish(seat);
    for (const { topic, subscriber, encode } of subscriptions.values()) host.subscribe(topic, subscriber, encode);
    writtenOut.resolve();
  }

  #finish(seat: number): void {
    this.#arrived.delete(seat);
    this.#done.add(seat);
    this.#expected?.delete(seat);
  }

  /** Ends the move in this thread. A connection that waits is an ordinary subscriber from now on. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    const { host, ended } = this.#settings;
    for (const [seat, arrived] of this.#arrived) this.#writeOut(seat, arrived);
    for (const [name, subscribers] of this.#topics) {
      const topic = host.topics.get(name);
      if (topic !== undefined) host.endMoving(topic, subscribers);
    }
    this.#preparation?.ended();
    ended();
  }
}
