/** The messages between threads about subscribers that move. They travel on the links of the bus. */

/** The topics of a move, in the thread that the subscribers go to. */
export interface ComingSubscribers {
  readonly kind: "coming";
  /** Number of the move in the thread that is left. */
  readonly move: number;
  readonly topics: readonly string[];
  /** Numbers of subscribers of these topics. */
  readonly counts: readonly number[];
  /** Shared memory of one number, a `MoveState`: both threads decide by it, and only one of them can. */
  readonly state: Int32Array;
  /** True if threads make cuts: there are topics. */
  readonly hasCut: boolean;
  /** True if the engine thread makes a cut, too. */
  readonly cutsEngine: boolean;
  /** Value from the owner of the bus, for `subscribersComing` of the other owner. */
  readonly luggage: unknown;
}

/** Messages about a move between its two threads, and between them and all other threads. */
export type MoveMessage =
  | ComingSubscribers
  /**
   * Asks a third thread for its cut: what it publishes after its marks reaches the subscribers in the sender's thread.
   */
  | { readonly kind: "cut"; readonly from: number; readonly move: number }
  /** Answers a cut, in line with publishes, in both threads of the move. */
  | {
      readonly kind: "mark";
      readonly from: number;
      readonly move: number;
      readonly cutting: readonly number[] | undefined;
    }
  /** The other thread has done everything that the arrival needs. */
  | { readonly kind: "prepared"; readonly move: number }
  /** These leavers have left; comes after the mark of the thread that they left. */
  | { readonly kind: "left"; readonly move: number; readonly seats: readonly number[] }
  /** The move is called off; `from` is the life of the thread that was to be left. */
  | { readonly kind: "calledOff"; readonly from: number; readonly move: number; readonly reason: string };

/** The thread that has decided about a move. */
export const MoveState = {
  /** Nobody yet. */
  open: 0,
  /** The thread that is left: the subscribers go. */
  committed: 1,
  /** One of the threads: they stay. */
  calledOff: 2,
} as const;

/** Decides about a move. Returns false if the other thread has decided already. */
export function decide(state: Int32Array, decision: 1 | 2): boolean {
  return Atomics.compareExchange(state, 0, MoveState.open, decision) === MoveState.open;
}
