/**
 * The public snapshot of a connection. The board lists connections in this form.
 */

import type { Address } from "../../runtime/actor/address.ts";
import type { Params } from "../../runtime/actor/context/actor-context.ts";

/** Snapshot of one connection for operators. */
export interface ConnectionInfo {
  readonly address: Address;
  readonly shard: number;
  /** Session that `authorize` returned; undefined if the session can't be cloned. */
  readonly session: unknown;
  readonly params: Params;
  readonly protocol: string;
  /** Number of topics that the connection is subscribed to. */
  readonly topics: number;
  /** Bytes that the peer hasn't taken yet. */
  readonly bufferedBytes: number;
  /** Time of opening, in milliseconds since 1970. */
  readonly openedAt: number;
  /** Remote address of the socket, of a proxy if there is one; undefined for Unix sockets. */
  readonly remoteAddress: string | undefined;
}

/** Clones a session. Returns undefined for a session that can't be cloned, such as one with a function in it. */
export function cloneSession(session: unknown): unknown {
  try {
    return structuredClone(session);
  } catch {
    return undefined;
  }
}
