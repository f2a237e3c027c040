/** The result of a publish. The bus and the feeds compute it; users see it. */
import type { Position } from "../../streams/position.ts";

/** The place of a publication in its stream. */
export interface Stored {
  readonly position: Position;
  /** True if the idempotency key was known: the position is that of the first publication, and nobody got a second. */
  readonly duplicate: boolean;
}

/**
 * Result of a `publish`: numbers of subscribers in this thread, each in one of the first four fields, and numbers of
 * other threads.
 */
export interface PublishResult {
  /** Number of subscribers whose messages are on their way. */
  readonly delivered: number;
  /** Number of subscribers whose messages wait behind bytes that the peer hasn't read yet. */
  readonly buffered: number;
  /** Number of subscribers that don't get the message, because too much waits for them already. */
  readonly dropped: number;
  /** Number of subscribers that were closed for the message (1013), or are closing. */
  readonly closed: number;
  /** Number of other threads with subscribers to which the publish was passed on. Their results aren't known here. */
  readonly remote: number;
  /** Number of other threads with subscribers that don't get the publish, because they are too far behind. */
  readonly remoteDropped: number;
  /**
   * Position of the publication, on a topic with history. (The numbers of subscribers are 0 then: the engine's thread
   * delivers to all.) With `store: false` the epoch is "" and the offset 0. Rejects with `ERR_ENGINE_FULL` or
   * `ERR_ENGINE_UNAVAILABLE` if the publication isn't stored for certain. A rejection that nobody awaits does no harm:
   * the counter `publishesFailed` has it.
   */
  readonly stored?: Promise<Stored>;
}
