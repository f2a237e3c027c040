/**
 * The parts of an engine in a takeover, when a process gives its connections to another. `EngineTakeover` calls them.
 * An engine that nodes share makes cuts. An engine whose memory ends with its process gives its state to the next
 * process.
 */
import type { Maybe } from "./maybe.ts";

/**
 * Time in ms for which an engine keeps a member that it was told to let go. The connection is on its way to another
 * process, which joins the member again.
 */
export const TRAVEL_MS = 10_000;

/** The messages that wait from a mark on: control messages that were sent with `waits`, or messages to topics. */
export type Waiting = "control" | "topics";

/**
 * Cuts in what other nodes publish: the places where an old process stops to report, and where a new process begins.
 * Both processes run an engine of their own, and listen to the same mark.
 */
export interface EngineCuts {
  /**
   * Listens to marks. What arrives after a mark isn't reported until `end`: messages to topics, or control messages
   * with `waits` to this node and to nodes that it answers for. Resolves when the marks can't be missed any more.
   */
  expect(mark: string): Promise<void>;
  /** Sends a mark, behind everything that this node has published. */
  send(mark: string, waiting: Waiting): Promise<void>;
  /** Resolves when the mark has arrived from everywhere; at once without `expect`. */
  arrived(waiting: Waiting): Promise<void>;
  /** Reports what has waited, in order, and everything from now on. Forgets the marks. */
  end(): void;
  /**
   * Takes control messages to other nodes as well, until the engine stops. The owner tells them apart by the addresses
   * in them. Resolves when such a message can't be missed any more.
   */
  answerFor(nodes: readonly string[]): Promise<void>;
}

/**
 * Streams whose publications stayed behind, because there were too many bytes, and the number of these publications.
 */
export interface LeftBehind {
  topics: number;
  publications: number;
}

/**
 * Gives everything that an engine keeps to the engine of the next process, in pieces that can be cloned. Everybody is
 * served while the first round of pieces goes; only the last round stops everybody.
 *
 * A stream goes on with its epoch and offsets, times go along as the time that is left, and idempotency keys and
 * members are known. If publications stay behind, the epoch and the top still go along: a subscriber that would need
 * them is told.
 */
export interface EngineTransfer {
  /** Name and version of the pieces. They go only to an engine with the same. */
  readonly format: string;
  /** Begins the first round, in which everything is given, and notes what changes meanwhile. */
  begin(): Maybe<void>;
  /**
   * Returns the next piece, of about 1 MiB at most; undefined at the end of a round. The next call begins another
   * round, with what has changed since it was given.
   */
  give(): Maybe<unknown>;
  /** Gives nothing more, and notes no changes. Called after a failure, too. */
  end(): Maybe<LeftBehind>;
  /** Takes a piece of the other engine. Called before anything is published or joined here. */
  take(piece: unknown): Maybe<void>;
  /**
   * Everybody who has come has joined again: members that were taken and haven't joined leave now.
   *
   * @param isComplete false if the other process ended before it had given everything: what was taken is to be
   * forgotten
   */
  taken(isComplete: boolean): Maybe<void>;
}
