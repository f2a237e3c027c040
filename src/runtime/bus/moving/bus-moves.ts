/** All moves of subscribers that a thread takes part in: as the thread that is left, as the other, or as a third. */
import { SwitchboardError } from "../../../errors.ts";
import type { Link } from "../link.ts";
import { Arriving } from "./arriving.ts";
import { Departing } from "./departing.ts";
import type { ComingSubscribers, MoveMessage } from "./messages.ts";
import type { BusSubscription, Departure, Leaver, Ticket } from "./move.ts";
import type { MovesHost } from "./moves-host.ts";
import { ENGINE_ORIGIN } from "./moving-subscribers.ts";

export interface LeaveOptions<L extends Leaver = Leaver> {
  /** Value for `subscribersComing` of the other bus's owner. A value that can be cloned. */
  readonly luggage?: unknown;
  /** True if what the engine thread sends reaches the leavers: the engine thread makes a cut, too. */
  readonly cutsEngine?: boolean;
  /** The engine thread has made its cut: what it sends from here on is for the other thread. */
  readonly engineMarked?: () => void;
  /** A leaver stays in this thread. */
  readonly stays?: (leaver: L) => void;
  /** Time in ms that the other threads have. Default: 5,000. */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 5_000;

type AnyDeparting = Pick<Departing, "marked" | "threadsChanged" | "ended" | "prepared" | "calledOff">;

export class BusMoves {
  readonly #host: MovesHost;
  readonly #departing = new Map<number, AnyDeparting>();
  /** Arriving moves by the life of the thread that is left, and the number of the move there. */
  readonly #arriving = new Map<string, Arriving>();
  #nextMove = 0;

  constructor(host: MovesHost) {
    this.#host = host;
  }

  leaveFor<L extends Leaver>(life: number, leavers: readonly L[], options: LeaveOptions<L>): Departure<L> {
    const { luggage, cutsEngine = false, timeoutMs = DEFAULT_TIMEOUT_MS, engineMarked, stays } = options;
    const links = this.#host.links();
    const link = links.find((one) => one.life === life);
    if (link === undefined) return notBegun(`no thread has the life ${life}`);
    const move = this.#nextMove++;
    const hasTopics = leavers.some(({ subscriptions }) => subscriptions.length > 0);
    const awaited = hasTopics ? links.map((one) => one.life) : [];
    if (cutsEngine) awaited.push(ENGINE_ORIGIN);
    const ended = (): void => void this.#departing.delete(move);
    const settings = { move, link, awaited, host: this.#host, ended, engineMarked, stays };
    const departing = new Departing(leavers, settings);
    if (departing.isOver) return departing;
    this.#departing.set(move, departing);
    departing.expireAfter(timeoutMs);
    const { names: topics, counts } = departing.topics;
    const { state } = departing;
    link.tell({ kind: "coming", move, topics, counts, state, hasCut: hasTopics, cutsEngine, luggage });
    return departing;
  }

  arrive({ from, move, seat }: Ticket, subscriptions: readonly BusSubscription[]): Promise<void> {
    const arriving = this.#arriving.get(keyOf(from, move));
    if (arriving !== undefined) return arriving.arrive(seat, subscriptions);
    // The other thread ended in the middle of its commit, or the connection took too long.
    for (const { topic, subscriber, encode } of subscriptions) this.#host.subscribe(topic, subscriber, encode);
    return Promise.resolve();
  }

  abandon({ from, move, seat }: Ticket): void {
    this.#arriving.get(keyOf(from, move))?.abandon(seat);
  }

  /** A mark came from another thread, or from the engine thread. */
  marked(origin: number, from: number, move: number, cutting?: readonly number[]): void {
    if (from === this.#host.life) this.#departing.get(move)?.marked(origin, cutting);
    else this.#arriving.get(keyOf(from, move))?.marked(origin);
  }

  /** Another thread has begun: what it publishes is part of no cut that was asked for. */
  linkOpened(): void {
    for (const departing of this.#departing.values()) departing.threadsChanged();
  }

  /** Another thread has ended, and everything that came from there has been delivered. */
  linkEnded({ life }: Link): void {
    for (const departing of this.#departing.values()) departing.ended(life);
    for (const arriving of this.#arriving.values()) arriving.ended(life);
  }

  told(link: Link, message: MoveMessage): void {
    switch (message.kind) {
      case "coming":
        this.#expect(link, message);
        return;
      case "cut":
        this.#cut(link, message.from, message.move);
        return;
      case "mark":
        this.marked(link.life, message.from, message.move, message.cutting);
        return;
      case "prepared":
        this.#departing.get(message.move)?.prepared();
        return;
      case "left":
        this.#arriving.get(keyOf(link.life, message.move))?.left(message.seats);
        return;
      case "calledOff":
        if (message.from === this.#host.life) this.#departing.get(message.move)?.calledOff(message.reason);
        else this.#arriving.get(keyOf(message.from, message.move))?.end();
    }
  }

  /** Subscribers are coming: their topics are wanted here from now on, and every other thread is asked for its cut. */
  #expect(link: Link, coming: ComingSubscribers): void {
    const key = keyOf(link.life, coming.move);
    const others = this.#host.links().filter((one) => one !== link);
    const cutting = others.map(({ life }) => life);
    const awaited = coming.hasCut ? [...cutting, link.life] : [];
    if (coming.cutsEngine) awaited.push(ENGINE_ORIGIN);
    const ended = (): void => void this.#arriving.delete(key);
    this.#arriving.set(key, new Arriving({ coming, link, awaited, host: this.#host, ended }));
    if (!coming.hasCut) return;
    for (const other of others) other.tell({ kind: "cut", from: link.life, move: coming.move });
    // Publishes of this thread, from here on, reach the subscribers here.
    link.tell({ kind: "mark", from: link.life, move: coming.move, cutting });
  }

  /** Makes the cut of this thread: what it has published reaches the subscribers there, and what follows, here. */
  #cut(link: Link, from: number, move: number): void {
    const left = this.#host.links().find(({ life }) => life === from);
    left?.tell({ kind: "mark", from, move, cutting: undefined });
    link.tell({ kind: "mark", from, move, cutting: undefined });
  }
}

function keyOf(from: number, move: number): string {
  return `${from} ${move}`;
}

function notBegun<L extends Leaver>(reason: string): Departure<L> {
  const error = new SwitchboardError("ERR_MOVE_CALLED_OFF", `the connections stay in their thread: ${reason}`);
  const ready = Promise.reject(error);
  ready.catch(() => {});
  return { ready, mayTryAgain: false, commit: () => 0, cancel: () => {}, callOff: () => {} };
}
