/** Notes between the mail routers of threads about actors that move. Notes keep their place among the letters. */
import type { Address } from "../actor/address.ts";

/** A note to the home of an actor. */
export type HomeNote =
  /** The actor is about to leave the sender's thread: keep its letters. Answered by `kept`. */
  | { readonly note: "keep"; readonly address: Address }
  /** The actor is in the sender's thread, and takes letters. */
  | { readonly note: "here"; readonly address: Address }
  /** The actor has ended in the sender's thread. */
  | { readonly note: "ended"; readonly address: Address };

export type MailNote =
  | HomeNote
  /** The home's answer to `keep`: all letters to the actor that the home has sent come before this note. */
  | { readonly note: "kept"; readonly address: Address }
  /** To an asking thread: actors with unanswered asks have moved to another thread. */
  | { readonly note: "asksMoved"; readonly asks: readonly MovedAsk[]; readonly to: number }
  /**
   * Question of a new home that knows nothing: tell which of its actors live there. Answered by any number of `here`,
   * and `reported`.
   */
  | { readonly note: "report" }
  | { readonly note: "reported" }
  /** To the old thread of a shard: the sender's next letters to the shard's addresses go to its successor. */
  | { readonly note: "switched" }
  /** Note of a shard's old thread to its successor: the places of the actors that live elsewhere. */
  | { readonly note: "table"; readonly places: readonly ActorPlace[] }
  /** After `table`, and after the letters that waited at the old thread. */
  | { readonly note: "passed" };

export interface ActorPlace {
  readonly address: Address;
  readonly life: number;
  /** True if the actor is moving: its letters are kept. */
  readonly moves: boolean;
}

export interface MovedAsk {
  /** Number of the ask in the asking thread. */
  readonly number: number;
  /** Number of moves since the ask. */
  readonly moves: number;
}
