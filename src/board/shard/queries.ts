/** Questions of the main thread about the connections of a shard, and their answers. */
import type { Address } from "../../runtime/actor/address.ts";
import type { ConnectionInfo } from "../connection/connection-info.ts";
import type { ConnectionRegistry } from "./connection-registry.ts";

/** Question about the connections of a shard. */
export type ShardQuery =
  | { readonly kind: "list"; readonly after: number; readonly limit: number }
  | { readonly kind: "disconnect"; readonly address: Address; readonly code: number; readonly reason: string };

export interface ShardPage {
  readonly connections: readonly ConnectionInfo[];
  /** Serial of the last connection of the page. */
  readonly last: number;
}

export interface QueryAnswers {
  readonly list: ShardPage;
  /** True if the connection was registered and open. */
  readonly disconnect: boolean;
}

export function answerQuery(directory: ConnectionRegistry, query: ShardQuery): QueryAnswers[ShardQuery["kind"]] {
  if (query.kind === "disconnect") {
    return directory.get(query.address)?.startClosing(query.code, query.reason) ?? false;
  }
  const entries = directory.page(query.after, query.limit);
  const connections = entries.map(({ connection, openedAt }) => ({ ...connection.describe(), openedAt }));
  return { connections, last: entries.at(-1)?.serial ?? query.after };
}
