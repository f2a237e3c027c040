/**
 * What becomes of a message for a peer that doesn't read, when more than `maxBufferedBytes` would wait for it:
 * - `close`: the connection is closed with 1013.
 * - `dropNewest`: the message is dropped.
 * - `dropOldest`: the messages that have waited longest are dropped, as many as must be.
 * - `conflate`: from the first byte that waits, of what is published only the newest message of each topic does, in the place of the one before.
 *   What is sent waits in order. When all this is still too much, the connection is closed with 1013.
 *
 * A message of which the peer may have got a part can't be dropped any more, and no policy drops a control frame.
 */
export type SlowConsumerPolicy = (typeof SLOW_CONSUMER_POLICIES)[number];

export const SLOW_CONSUMER_POLICIES = ["close", "dropNewest", "dropOldest", "conflate"] as const;

/** What became of a `publish`, in numbers of subscribers in this thread, each in one of the first four, and of other threads. */
export interface PublishResult {
  /** Subscribers that it is on its way to. */
  readonly delivered: number;
  /** Subscribers for which it waits behind bytes that they haven't read yet. */
  readonly buffered: number;
  /** Subscribers that don't get it, because too much waits for them already. */
  readonly dropped: number;
  /** Subscribers that were closed for it (1013), or are closing. */
  readonly closed: number;
  /** Other threads with subscribers that it was passed on to. What becomes of it there isn't known here. */
  readonly remote: number;
  /** Other threads with subscribers that don't get it, because they are too far behind. */
  readonly remoteDropped: number;
}

export function isSlowConsumerPolicy(value: unknown): value is SlowConsumerPolicy {
  return (SLOW_CONSUMER_POLICIES as readonly unknown[]).includes(value);
}
