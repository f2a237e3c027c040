/** The result of a publish. The bus computes it; users see it. */
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
}
