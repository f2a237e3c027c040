/** Times of moves. */

/** Time that an actor has to become idle and to be suspended, in ms. */
export const MOVE_LIMIT_MS = 5_000;
/** A shard answers when all its connections have moved or stay. A shard that stands still is ended by its watchdog. */
export const NO_TIMEOUT_MS = 2 ** 31 - 1;
