/** Times and sizes of a takeover. */
import { DEFAULT_HAND_OVER, type HandOverSettings } from "../../takeover/predecessor.ts";

/** Time that all actors have to become idle and to be suspended, in ms. Everybody waits meanwhile. */
export const SUSPEND_LIMIT_MS = 5_000;
/** Time in which handshakes under way become connections that can move, in ms. */
export const HANDSHAKES_MS = 2_000;
/** A shard answers when it is done. A shard that stands still is ended by its watchdog. */
export const NO_TIMEOUT_MS = 2 ** 31 - 1;

/** All connections are one group: either all of them go, or none. */
export const HAND_OVER: HandOverSettings = { ...DEFAULT_HAND_OVER, groupSize: Number.MAX_SAFE_INTEGER, batchSize: 250 };
