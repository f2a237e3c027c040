/** Times and sizes of a takeover. */
import { DEFAULT_HAND_OVER, type HandOverSettings } from "../../takeover/predecessor.ts";

/**
 * Time in ms that handlers under way have to end before anybody is stopped, and in which the stop is tried again after
 * a handler that has begun meanwhile takes too long.
 */
export const CALM_LIMIT_MS = 5_000;
/** Time in ms for which few connections may make all others wait, in each step. */
export const FEW_LIMIT_MS = 250;
/** Time in ms after which a shard that doesn't answer counts as busy. */
export const BLOCKED_LIMIT_MS = 500;
/** Time in ms that many handlers have to end in the last attempt to stop everybody. Everybody waits meanwhile. */
export const STILL_LIMIT_MS = 3_000;
/** Time in ms that all actors have to become idle, and for their `suspended`. Everybody waits meanwhile. */
export const SUSPEND_LIMIT_MS = 2_000;
/** The same for those that were on their way to another shard before. Everybody else has had the time above. */
export const LATE_SUSPEND_LIMIT_MS = 200;
/** Time in ms in which handshakes under way become connections that can move. Later ones wait for the outcome. */
export const HANDSHAKES_MS = 2_000;
/** Time in ms for which a board that closes waits until the process that has taken over has all late upgrades. */
export const PASS_ON_LIMIT_MS = 10_000;
/** Number of names of topics in one message between the processes. */
export const TOPICS_IN_MESSAGE = 10_000;
/** Time in ms that the main program has to give its state. Everybody waits meanwhile. */
export const GIVE_LIMIT_MS = 250;
/** Time in ms that the main program of the new process has to take that state. Everybody waits meanwhile. */
export const TAKE_LIMIT_MS = 500;
/** Bytes that the main program may give. */
export const MAX_PROGRAM_BYTES = 64 * 1024 * 1024;
/** Bytes of them in one message between the processes. */
export const PROGRAM_PIECE_BYTES = 1024 * 1024;
/** Rounds in which the state of an engine goes while everybody is served. */
export const MAX_ROUNDS_AHEAD = 4;
/** A shard answers when it is done. A shard that stands still is ended by its watchdog. */
export const NO_TIMEOUT_MS = 2 ** 31 - 1;

/** All connections are one group: either all of them go, or none. */
export const HAND_OVER: HandOverSettings = { ...DEFAULT_HAND_OVER, groupSize: Number.MAX_SAFE_INTEGER, batchSize: 250 };
/** Time in ms between two looks at something that has no event. */
export const POLL_MS = 5;
