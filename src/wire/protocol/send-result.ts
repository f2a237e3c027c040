/**
 * The result of `send`, for every kind of WebSocket:
 *
 * - `sent`: the message is on its way, and there is room for more.
 * - `buffered`: bytes wait, because the peer doesn't read fast enough or the shard has other work. Whoever sends much
 *   waits for `drained` now. The policy `dropOldest` may still drop the message.
 * - `dropped`: the message is lost, because more than `maxBufferedBytes` would have waited.
 * - `closed`: the message is lost, because the connection is closing or closed.
 */
export type SendResult = "sent" | "buffered" | "dropped" | "closed";
