/** Times and sizes of a takeover. */
import { DEFAULT_HAND_OVER, type HandOverSettings } from "../../takeover/predecessor.ts";

/** Time in ms that handlers under way have to end before anybody is stopped. */
export const CALM_LIMIT_MS = 5_000;
/** The same for handlers that have begun meanwhile. Peers' messages wait from here on. */
export const STILL_LIMIT_MS = 1_000;
/** Time in ms that all actors have to become idle, and for their `suspended`. Everybody waits meanwhile. */
export const SUSPEND_LIMIT_MS = 2_000;
/** The same for those that were on their way to another shard before. Everybody else has had the time above. */
export const LATE_SUSPEND_LIMIT_MS = 200;
/** Time in which handshakes under way become connections that can move, in ms. */
export const HANDSHAKES_MS = 2_000;
/** A shard answers when it is done. A shard that stands still is ended by its watchdog. */
export const NO_TIMEOUT_MS = 2 ** 31 - 1;

/** All connections are one group: either all of them go, or none. */
export const HAND_OVER: HandOverSettings = { ...DEFAULT_HAND_OVER, groupSize: Number.MAX_SAFE_INTEGER, batchSize: 250 };
