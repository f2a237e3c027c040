export const SCENARIOS = ["echo", "fanout", "storm", "idle"] as const;

/**
 * What the connections do.
 *
 * - `echo`: each sends messages, checks that they come back, and sends again.
 * - `fanout`: publishers send; the server sends each message to all other connections.
 * - `storm`: connections open, get one echo and close, over and over.
 * - `idle`: connections open and are held.
 */
export type Scenario = (typeof SCENARIOS)[number];

/** All that a run is made of; plain data, for it goes to every thread. */
export interface LoadSettings {
  /** A ws: or wss: URL. */
  readonly url: string;
  readonly scenario: Scenario;
  /** Over all threads. In a storm: at a time. */
  readonly connections: number;
  readonly threads: number;
  /** Closed loop: messages that wait for their reply, for each sending connection. */
  readonly inflight: number;
  /** Open loop: messages per second over all connections; undefined for a closed loop. */
  readonly rate: number | undefined;
  /** Payload of a message. */
  readonly bytes: number;
  /** Text messages instead of binary ones. */
  readonly text: boolean;
  /** The counted time, in seconds. Idle: how long all connections are held. */
  readonly duration: number;
  /** What comes before it, in seconds. Idle: the pause after each step. */
  readonly warmup: number;
  /** Whether to offer permessage-deflate and compress. */
  readonly compress: boolean;
  /** Whether any certificate will do. */
  readonly insecure: boolean;
  /** Messages that each connection gets before it is asked for anything. */
  readonly greeting: number;
  /** Fanout: how many of the connections send. */
  readonly publishers: number;
  /** Idle: connections to open before each pause. */
  readonly step: number;
  /** Request headers to add. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}
