/**
 * One move of subscribers to another thread, in the thread that they leave. `BusMoves` has those that are under way.
 */
import { SwitchboardError } from "../../../errors.ts";
import type { Frame } from "../../../wire/protocol/frame.ts";
import type { LocalResult, Subscriber } from "../audience.ts";
import type { Link } from "../link.ts";
import type { Topic } from "../topic-index.ts";
import { KeptMessages } from "./kept-messages.ts";
import { type LeavingOwner, LeavingSubscribers } from "./leaving-subscribers.ts";
import { decide, MoveState } from "./messages.ts";
import type { BusSubscription, Depart, Departure, Leaver } from "./move.ts";
import type { MovesHost } from "./moves-host.ts";
import { ENGINE_ORIGIN } from "./moving-subscribers.ts";

/** Bytes of messages that are kept in the thread that is left. Beyond them the move is called off: nothing is lost. */
const MAX_KEPT_BYTES = 8 * 1024 * 1024;
const NOBODY: LocalResult = Object.freeze({ delivered: 0, buffered: 0, dropped: 0, closed: 0 });

export interface DepartingSettings<L extends Leaver> {
  /** Number of the move in this thread. */
  readonly move: number;
  /** Link to the thread that the leavers go to. */
  readonly link: Link;
  /** Lives of the threads whose marks are awaited, and `ENGINE_ORIGIN`. */
  readonly awaited: Iterable<number>;
  readonly host: MovesHost;
  /** The move is over in this thread. */
  readonly ended: (move: number) => void;
  /** The engine thread has made its cut. */
  readonly engineMarked: (() => void) | undefined;
  /** A leaver stays. */
  readonly stays: ((leaver: L) => void) | undefined;
}

export class Departing<L extends Leaver = Leaver> implements Departure<L>, LeavingOwner {
  readonly #settings: DepartingSettings<L>;
  readonly #leavers: readonly L[];
  /** Leavers that are in the move and haven't left. */
  readonly #here: Set<L>;
  readonly #topics = new Map<string, LeavingSubscribers>();
  /** Decides, with the other thread, whether the leavers go. */
  readonly state = new Int32Array(new SharedArrayBuffer(4));
  readonly #awaited: Set<number>;
  #isPrepared = false;
  /** Threads whose publishes the other thread has for the leavers: they are kept here. */
  readonly #cut = new Set<number>();
  readonly #kept = new KeptMessages();
  readonly #ready = Promise.withResolvers<void>();
  #timer: NodeJS.Timeout | undefined;
  /** True when the move has been decided. */
  isOver = false;
  mayTryAgain = false;

  constructor(leavers: readonly L[], settings: DepartingSettings<L>) {
    this.#settings = settings;
    this.#leavers = leavers;
    this.#here = new Set(leavers);
    this.#awaited = new Set(settings.awaited);
    // The mover may call the move off, and await nothing.
    this.#ready.promise.catch(() => {});
    for (const one of leavers.flatMap(({ subscriptions }) => subscriptions)) if (!this.isOver) this.#begin(one);
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Link to the thread that the leavers go to. */
  get link(): Link {
    return this.#settings.link;
  }

  /** Names of the topics, and numbers of leavers that are subscribed to each. */
  get topics(): { readonly names: string[]; readonly counts: number[] } {
    return { names: [...this.#topics.keys()], counts: Array.from(this.#topics.values(), ({ size }) => size) };
  }

  /** Calls the move off unless it is ready, and decided, after a time in ms. */
  expireAfter(timeoutMs: number): void {
    this.#timer = setTimeout(() => this.callOff(`not all threads have answered within ${timeoutMs} ms`), timeoutMs);
    this.#timer.unref();
  }

  #begin({ topic: name, subscriber, encode }: BusSubscription): void {
    const { topics } = this.#settings.host;
    const topic = topics.get(name);
    if (topic === undefined) return;
    let leaving = this.#topics.get(name);
    if (leaving === undefined) {
      leaving = new LeavingSubscribers(name, this, this.#settings.host.audience);
      this.#topics.set(name, leaving);
      topics.addMoving(topic, leaving);
    }
    if (topics.takeSubscriber(topic, subscriber, encode)) leaving.add(subscriber, encode);
    else if (isMoving(topic, subscriber, encode)) this.callOff("a connection hasn't arrived here yet");
  }

  take(leaving: LeavingSubscribers, frame: Frame, origin: number, except: Subscriber | undefined): LocalResult {
    if (!this.#cut.has(origin)) return leaving.deliver(frame, except);
    this.#kept.add(leaving.name, frame, except);
    if (this.#kept.bytes > MAX_KEPT_BYTES) this.callOff("too much was published meanwhile");
    return NOBODY;
  }

  // ── from the other threads ─────────────────────────────────────────────────────────────────────────────

  /**
   * A thread has made its cut: the other thread has what comes from there now.
   *
   * @param cutting lives of the threads that the other thread has asked for a cut; only in the mark of that thread
   */
  marked(origin: number, cutting: readonly number[] | undefined): void {
    if (this.isOver) return;
    if (origin === ENGINE_ORIGIN) this.#settings.engineMarked?.();
    this.#cut.add(origin);
    this.#awaited.delete(origin);
    if (cutting === undefined || this.#agrees(cutting)) this.#checkReady();
    else this.threadsChanged();
  }

  /** The two threads aren't linked to the same others, so that they would wait for different marks. */
  threadsChanged(): void {
    this.mayTryAgain = !this.isOver;
    this.callOff("threads have begun or ended meanwhile");
  }

  /** A thread has ended, and everything that came from there has been delivered. */
  ended(origin: number): void {
    if (origin === this.link.life) this.callOff("the other thread has ended");
    else if (this.#awaited.has(origin)) this.marked(origin, undefined);
  }

  /** The other thread has done everything that the arrival needs. */
  prepared(): void {
    this.#isPrepared = true;
    this.#checkReady();
  }

  /** The other thread has called the move off. */
  calledOff(reason: string): void {
    if (!this.isOver) this.#stay(reason);
  }

  /** True if both threads are linked to the same others. */
  #agrees(cutting: readonly number[]): boolean {
    const others = this.#settings.host.links().filter((link) => link !== this.link);
    return others.length === cutting.length && others.every(({ life }) => cutting.includes(life));
  }

  get #isReady(): boolean {
    return !this.isOver && this.#isPrepared && this.#awaited.size === 0;
  }

  #checkReady(): void {
    if (this.#isReady) this.#ready.resolve();
  }

  // ── the decision ───────────────────────────────────────────────────────────────────────────────────────

  commit(depart: Depart<L>): number {
    if (!this.#isReady) return 0;
    if (!decide(this.state, MoveState.committed)) {
      this.#stay("the other thread has called the move off");
      return 0;
    }
    const { move, host } = this.#settings;
    // Publishes of this thread, from here on, reach the leavers in the other thread.
    this.link.tell({ kind: "mark", from: host.life, move, cutting: undefined });
    this.#cut.add(host.life);
    const seats: number[] = [];
    try {
      for (const [seat, leaver] of this.#leavers.entries()) {
        if (!this.#here.has(leaver) || !depart(leaver, { from: host.life, move, seat })) continue;
        this.#here.delete(leaver);
        seats.push(seat);
      }
    } finally {
      this.link.tell({ kind: "left", move, seats });
      this.#end();
    }
    return seats.length;
  }

  cancel(leaver: L): void {
    if (!this.isOver && this.#here.delete(leaver)) this.#restore(leaver);
  }

  callOff(reason = "the mover has called the move off"): void {
    if (this.isOver) return;
    const { move, host } = this.#settings;
    const isFirst = decide(this.state, MoveState.calledOff);
    if (isFirst) this.link.tell({ kind: "calledOff", from: host.life, move, reason });
    this.#stay(reason);
  }

  #stay(reason: string): void {
    this.#end();
    this.#ready.reject(new SwitchboardError("ERR_MOVE_CALLED_OFF", `the connections stay in their thread: ${reason}`));
  }

  /** Makes each leaver that hasn't left an ordinary subscriber. */
  #end(): void {
    const { move, host, ended } = this.#settings;
    this.isOver = true;
    clearTimeout(this.#timer);
    for (const leaver of this.#here) this.#restore(leaver);
    for (const [name, leaving] of this.#topics) {
      const topic = host.topics.get(name);
      if (topic !== undefined) host.endMoving(topic, leaving);
    }
    ended(move);
  }

  #has({ topic, subscriber, encode }: BusSubscription): boolean {
    return this.#topics.get(topic)?.has(subscriber, encode) === true;
  }

  /** Gives a leaver what was kept, and makes it an ordinary subscriber. */
  #restore(leaver: L): void {
    const { subscriptions } = leaver;
    const { topics, audience } = this.#settings.host;
    const kept = new Map(subscriptions.map((one) => [one.topic, one]));
    for (const [name, one] of kept) if (!this.#has(one)) kept.delete(name);
    this.#kept.deliverTo(kept, audience);
    for (const one of subscriptions) {
      const topic = topics.get(one.topic);
      const leaving = this.#topics.get(one.topic);
      if (topic === undefined || !leaving?.delete(one.subscriber, one.encode)) continue;
      topics.addSubscriber(topic, one.subscriber, one.encode);
    }
    this.#settings.stays?.(leaver);
  }
}

function isMoving({ moving }: Topic<Link>, ...subscriber: Parameters<LeavingSubscribers["has"]>): boolean {
  return moving?.some((others) => others.has(...subscriber)) === true;
}
