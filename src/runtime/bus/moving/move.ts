/**
 * The types that the mover of connections and the bus exchange when subscribers move to another thread. `Bus.leaveFor`
 * begins a move, `Bus.arrive` ends it in the other thread. README.md has the protocol.
 */
import type { Encode } from "../../streams/publication.ts";
import type { Subscriber } from "../audience.ts";

/** One subscription of the bus, as `Bus.subscribe` was given it. */
export interface BusSubscription {
  readonly topic: string;
  readonly subscriber: Subscriber;
  readonly encode?: Encode | undefined;
}

/** A connection that is to leave, with all its subscriptions of the bus. Its identity is the object. */
export interface Leaver {
  readonly subscriptions: readonly BusSubscription[];
}

/** Names one leaver of one move in all threads. Plain data: it travels with the connection's state. */
export interface Ticket {
  /** Life of the thread that the connection leaves. */
  readonly from: number;
  /** Number of the move in that thread. */
  readonly move: number;
  /** Place of the leaver in the list that `leaveFor` was given. */
  readonly seat: number;
}

/** Takes one connection out of its thread and posts it. Returns false if the connection stays. */
export type Depart<L extends Leaver> = (leaver: L, ticket: Ticket) => boolean;

/** A move that has begun, in the thread that is left. */
export interface Departure<L extends Leaver = Leaver> {
  /**
   * Resolves when `commit` may be called. Until then, and between then and `commit`, publishes reach the leavers in
   * this thread as long as the other thread doesn't get them for the leavers; those after that are kept here, too.
   * Rejects with `ERR_MOVE_CALLED_OFF` if the move has been called off: the leavers are ordinary subscribers again
   * then, and have got what was kept.
   */
  readonly ready: Promise<void>;
  /** True if the move was called off because threads have begun or ended meanwhile: another attempt may succeed. */
  readonly mayTryAgain: boolean;
  /**
   * Lets the leavers go, within this call: `depart` is called for each of them. Whoever stays, because `depart` returns
   * false or throws, is an ordinary subscriber again and gets what was kept. Returns the number of leavers that left; 0
   * if the move has been called off before. Call `commit` once, and only after `ready`.
   */
  commit(depart: Depart<L>): number;
  /** Takes one leaver out of the move, before `commit`: an ordinary subscriber again, or one that has ended. */
  cancel(leaver: L): void;
  /** Calls the move off, before `commit`. */
  callOff(): void;
}
