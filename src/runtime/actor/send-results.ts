/** Results of a publish, and the policies for peers that read too slowly. Users see both. */
/**
 * Policy for a message when more than `maxBufferedBytes` would wait for a peer that doesn't read:
 *
 * - `close`: the connection is closed with 1013.
 * - `dropNewest`: the message is dropped.
 * - `dropOldest`: the messages that have waited longest are dropped, as many as necessary.
 * - `conflate`: from the first waiting byte on, only the newest publish of each topic waits, in the place of the one
 *   before. Messages that are sent wait in order. If that is still too much, the connection is closed with 1013.
 *
 * A message of which the peer may have got a part is never dropped, and no policy drops a control frame.
 */
export type SlowConsumerPolicy = (typeof SLOW_CONSUMER_POLICIES)[number];

export const SLOW_CONSUMER_POLICIES = ["close", "dropNewest", "dropOldest", "conflate"] as const;

/**
 * Result of a `publish`: numbers of subscribers in this thread, each in one of the first four fields, and numbers of
 * other threads.
 */
export interface PublishResult {
  /** Subscribers whose messages are on their way. */
  readonly delivered: number;
  /** Subscribers whose messages wait behind bytes that the peer hasn't read yet. */
  readonly buffered: number;
  /** Subscribers that don't get the message, because too much waits for them already. */
  readonly dropped: number;
  /** Subscribers that were closed for the message (1013), or are closing. */
  readonly closed: number;
  /** Other threads with subscribers to which the publish was passed on. The result there isn't known here. */
  readonly remote: number;
  /** Other threads with subscribers that don't get the publish, because they are too far behind. */
  readonly remoteDropped: number;
}

export function isSlowConsumerPolicy(value: unknown): value is SlowConsumerPolicy {
  return (SLOW_CONSUMER_POLICIES as readonly unknown[]).includes(value);
}
