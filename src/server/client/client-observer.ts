/**
 * The listener for what clients do and what is refused to them: for logs and counts. `switchboard serve` has one in
 * each shard.
 */

export interface ObservedClient {
  readonly clientId: string;
  /** User id; "" for an anonymous client, and before the answer to `connect`. */
  readonly user: string;
}

/** One command that was refused. */
export interface Refused {
  /** Kind of the command: `connect`, `subscribe` and others. */
  readonly command: string;
  /** Channel of the command; undefined if it has none. */
  readonly channel: string | undefined;
  /** Code of the error for the client, or of its close. */
  readonly code: number;
  readonly message: string;
  readonly cause: RefusalCause | undefined;
}

/** Why a client was refused, beyond the code. The client isn't told. */
export interface RefusalCause {
  readonly kind: "invalid_token" | "expired_token" | "token_keys_unavailable" | "foreign_token" | "invalid_user";
  /** A sentence without any part of a token or a key. */
  readonly detail: string;
}

export interface ClientObserver {
  connected(client: ObservedClient): void;
  /** The connection has ended, also one that never got an answer to `connect`. */
  disconnected(client: ObservedClient, code: number, reason: string): void;
  subscribed(client: ObservedClient, channel: string): void;
  /** A subscription has ended before its connection. */
  unsubscribed(client: ObservedClient, channel: string): void;
  /** `info` is too large for presence: others see the client in the channel without it. */
  infoLeftOut(client: ObservedClient, channel: string, bytes: number): void;
  refused(client: ObservedClient, refused: Refused): void;
}
