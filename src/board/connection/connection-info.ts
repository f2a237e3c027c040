import type { Params } from "../../runtime/actor/actor.ts";
import type { Address } from "../../runtime/actor/address.ts";

/** One connection, as it was when it was looked at. */
export interface ConnectionInfo {
  readonly address: Address;
  readonly shard: number;
  /** What `authorize` gave; undefined where that can't be cloned. */
  readonly session: unknown;
  readonly params: Params;
  readonly protocol: string;
  /** How many topics it subscribes. */
  readonly topics: number;
  /** Bytes that its peer hasn't taken yet. */
  readonly bufferedBytes: number;
  /** In milliseconds since 1970. */
  readonly openedAt: number;
  /** The other end of its socket, a proxy's where there is one; undefined for Unix sockets. */
  readonly remoteAddress: string | undefined;
}

/** A session that a shard's own `authorize` gave may be anything, also what can't be cloned. */
export function cloneSession(session: unknown): unknown {
  try {
    return structuredClone(session);
  } catch {
    return undefined;
  }
}
