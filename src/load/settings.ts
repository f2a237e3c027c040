/** The settings of a run. The command line makes them, and every thread of the load gets a copy. */

/** The names of the scenarios. */
export const SCENARIOS = ["echo", "fanout", "storm", "idle"] as const;

/**
 * The behaviour of the connections.
 *
 * - `echo`: each connection sends messages, checks that they come back, and sends again.
 * - `fanout`: publishers send; the server sends each message to all other connections.
 * - `storm`: connections open, get one echo and close, over and over.
 * - `idle`: connections open and are held.
 */
export type Scenario = (typeof SCENARIOS)[number];

/** The settings of a run: plain data, because every thread gets a copy. */
export interface LoadSettings {
  /** A ws: or wss: URL. */
  readonly url: string;
  readonly scenario: Scenario;
  /** Number of connections over all threads. In a storm: number of connections at a time. */
  readonly connections: number;
  /** Number of threads that make the load. */
  readonly threads: number;
  /** Closed loop: number of messages per sending connection that wait for their reply. */
  readonly inflight: number;
  /** Open loop: messages per second over all connections; undefined for a closed loop. */
  readonly rate: number | undefined;
  /** Length of a message, in bytes. */
  readonly bytes: number;
  /** True for text messages, false for binary ones. */
  readonly text: boolean;
  /** Storm: number of connections to make, in place of `duration`; undefined for as many as fit into the time. */
  readonly total: number | undefined;
  /** Counted time, in seconds. Idle: time for which all connections are held. */
  readonly duration: number;
  /** Time before the counted time, in seconds. Idle: pause after each step. */
  readonly warmup: number;
  /** True to offer permessage-deflate and to compress messages. */
  readonly compress: boolean;
  /** True to accept any certificate. */
  readonly insecure: boolean;
  /** Number of messages that the server sends to each connection first, and that aren't checked. */
  readonly greeting: number;
  /** Fanout: number of connections that send. */
  readonly publishers: number;
  /** Idle: number of connections to open before each pause. */
  readonly step: number;
  /** Headers to add to the opening requests. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}
