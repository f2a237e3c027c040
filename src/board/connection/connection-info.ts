/**
 * The public snapshot of a connection. The board lists connections in this form.
 */
import type { Address } from "../../runtime/actor/address.ts";
import type { Params } from "../../runtime/actor/context/actor-context.ts";
import type { Transport } from "../../wire/transport/transport.ts";
import type { ConnectionContext } from "./connection-context.ts";

/** Snapshot of one connection for operators. */
export interface ConnectionInfo {
  readonly address: Address;
  /** Index of the shard, from 0. */
  readonly shard: number;
  /** Session that `authorize` returned; undefined if the session can't be cloned. */
  readonly session: unknown;
  /** Parameters of the path. */
  readonly params: Params;
  /** Name of the actor module, of the option `actors`; undefined for the default module. */
  readonly actor: string | undefined;
  /** Negotiated subprotocol, or "". */
  readonly protocol: string;
  /** Number of topics that the connection is subscribed to. */
  readonly topics: number;
  /** Number of bytes that the peer hasn't taken yet. */
  readonly bufferedBytes: number;
  /** Time of opening, in milliseconds since 1970. */
  readonly openedAt: number;
  /** Remote address of the socket, of a proxy if there is one; undefined for Unix sockets. */
  readonly remoteAddress: string | undefined;
}

/** `ConnectionInfo` without the time of opening, which only the registry of the shard knows. */
export type ConnectionSnapshot = Omit<ConnectionInfo, "openedAt">;

/** Takes the snapshot of a connection. */
export function snapshotOf(context: ConnectionContext, transport: Transport, topics: number): ConnectionSnapshot {
  const { address, actor, params, protocol, session, shard } = context;
  const { bufferedBytes, remoteAddress } = transport;
  const own = { address, shard, actor, session: cloneSession(session), params, protocol };
  return { ...own, topics, bufferedBytes, remoteAddress };
}

/** Clones a session. Returns undefined for a session that can't be cloned, such as one with a function in it. */
function cloneSession(session: unknown): unknown {
  try {
    return structuredClone(session);
  } catch {
    return undefined;
  }
}
