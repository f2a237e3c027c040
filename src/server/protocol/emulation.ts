/** Data that `emulation` and the actor of a client without a WebSocket tell each other. Plain data. */

/** A way of HTTP on which a client gets its messages, in place of a WebSocket. */
export type EmulatedTransport = "sse" | "http_stream";

/**
 * Session of a connection that the server itself makes for such a client: `this.session` of its actor. No client can
 * give it, because the upgrades of clients come in on other routes.
 */
export interface EmulationSession {
  readonly transport: EmulatedTransport;
}

/**
 * Mail with commands of a client, from `POST /emulation`. The actor must compare `session` with the one that it gave in
 * the connect result, in constant time, and drop the mail if they differ.
 */
export interface EmulatedCommands {
  readonly kind: "emulated";
  readonly session: string;
  /** Commands as one WebSocket message would carry them. */
  readonly data: Uint8Array;
}
