import type { Params } from "../actor/actor.ts";
import type { Address } from "../actor/address.ts";
import type { Directory } from "./directory.ts";

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
  /** The other end of its socket, a proxy's where there is one; undefined where the bytes are relayed. */
  readonly remoteAddress: string | undefined;
}

/** What the main thread asks a shard about its connections. */
export type ShardQuery =
  | { readonly kind: "list"; readonly after: number; readonly limit: number }
  | { readonly kind: "disconnect"; readonly address: Address; readonly code: number; readonly reason: string };

export interface ShardPage {
  readonly connections: readonly ConnectionInfo[];
  /** Serial of the last one. */
  readonly last: number;
}

export interface QueryAnswers {
  readonly list: ShardPage;
  /** Whether it was there, and open. */
  readonly disconnect: boolean;
}

export function answerQuery(directory: Directory, query: ShardQuery): QueryAnswers[ShardQuery["kind"]] {
  if (query.kind === "disconnect") {
    return directory.get(query.address)?.startClosing(query.code, query.reason) ?? false;
  }
  const entries = directory.page(query.after, query.limit);
  const connections = entries.map(({ connection, openedAt }) => ({ ...connection.describe(), openedAt }));
  return { connections, last: entries.at(-1)?.serial ?? query.after };
}

/** A session that a shard's own `authorize` gave may be anything, also what can't be cloned. */
export function cloneSession(session: unknown): unknown {
  try {
    return structuredClone(session);
  } catch {
    return undefined;
  }
}
