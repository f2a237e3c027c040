/**
 * The result of `send`, for every kind of WebSocket:
 *
 * - `sent`: the message is on its way, and there is room for more.
 * - `buffered`: the message waits behind bytes that the peer hasn't read yet. The policy `dropOldest` may still drop
 *   it.
 * - `dropped`: the message is lost, because more than `maxBufferedBytes` would have waited.
 * - `closed`: the message is lost, because the connection is closing or closed.
 */
export type SendResult = "sent" | "buffered" | "dropped" | "closed";
