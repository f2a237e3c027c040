/** The policies for peers that read too slowly. Boards and actors choose one; `Outbound` applies it. */
export const SLOW_CONSUMER_POLICIES = ["close", "dropNewest", "dropOldest", "conflate"] as const;

/**
 * Policy for a message when more than `maxBufferedBytes` would wait for a peer that doesn't read:
 *
 * - `close`: the connection is closed, with 1013 unless the actor class chooses otherwise (`slowConsumerClose`).
 * - `dropNewest`: the message is dropped.
 * - `dropOldest`: the messages that have waited longest are dropped, as many as necessary.
 * - `conflate`: from the first waiting byte on, only the newest publish of each topic waits, in the place of the one
 *   before. Messages that are sent wait in order. If that is still too much, the connection is closed, as with `close`.
 *
 * Under every policy, publications of topics with history wait in the history beyond the bound, and close no
 * connection. A message of which the peer may have got a part is never dropped, and no policy drops a control frame.
 */
export type SlowConsumerPolicy = (typeof SLOW_CONSUMER_POLICIES)[number];

export function isSlowConsumerPolicy(value: unknown): value is SlowConsumerPolicy {
  return (SLOW_CONSUMER_POLICIES as readonly unknown[]).includes(value);
}
