/** Pages of the connections of this node: `board.connections`. `cluster/connection-pages.ts` has those of all nodes. */
import { SwitchboardError } from "../../errors.ts";
import type { ConnectionInfo } from "../connection/connection-info.ts";
import type { ShardPage } from "../shard/queries.ts";
import { check } from "./options/option-validation.ts";

export interface ListConnectionsOptions {
  /** Id of one node, as `nodes()` tells it. Default: all nodes. */
  readonly node?: string;
  /** Number of one shard, on each node that is asked. Default: all shards. */
  readonly shard?: number;
  /** `cursor` of the page before. Default: the beginning. */
  readonly cursor?: string;
  /** Connections in a page, 1 to 1,000. Default: 100. */
  readonly limit?: number;
}

export interface ConnectionsPage {
  readonly connections: readonly ConnectionInfo[];
  /** Cursor of the next page; undefined if there is none. */
  readonly cursor: string | undefined;
}

/** Asks one shard for a page. Resolves with undefined if the shard ends first or doesn't exist. */
type AskShard = (shard: number, after: number, limit: number) => Promise<ShardPage | undefined>;

/** Throws `ERR_OPTION` for options of `board.connections` that are unknown or out of range. */
export function checkConnectionsOptions(options: ListConnectionsOptions): void {
  check("connections", options, ["node", "shard", "cursor", "limit"]);
}

const CURSOR = /^(\d{1,4})\.(\d{1,16})$/;

/** Returns one page of the connections of all shards of this node, in the order of the shards, the oldest first. */
export async function listPage(
  shards: number,
  options: Omit<ListConnectionsOptions, "node">,
  ask: AskShard,
): Promise<ConnectionsPage> {
  const { limit = 100 } = options;
  const position = options.cursor === undefined ? { shard: options.shard ?? 0, after: 0 } : parseCursor(options.cursor);
  const last = options.shard ?? shards - 1;
  const connections: ConnectionInfo[] = [];
  for (let { shard, after } = position; shard <= last; shard++, after = 0) {
    const page = await ask(shard, after, limit - connections.length);
    connections.push(...(page?.connections ?? []));
    if (page !== undefined && connections.length === limit) return { connections, cursor: `${shard}.${page.last}` };
  }
  return { connections, cursor: undefined };
}

function parseCursor(cursor: string): { shard: number; after: number } {
  const [, shard, after] = CURSOR.exec(cursor) ?? [];
  if (shard !== undefined && after !== undefined) return { shard: Number(shard), after: Number(after) };
  const message = "connections: cursor takes what a page before gave";
  throw new SwitchboardError("ERR_OPTION", message);
}
