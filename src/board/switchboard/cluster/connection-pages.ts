/** Pages of the connections of all nodes, and a page in the form in which a node sends it to another. */
import { deserialize, serialize } from "node:v8";
import { SwitchboardError } from "../../../errors.ts";
import { isAddress } from "../../../runtime/actor/address.ts";
import type { ConnectionInfo } from "../../connection/connection-info.ts";
import type { ConnectionsPage, ListConnectionsOptions } from "../listing.ts";
import { hasFields, MAX_BASE64_LENGTH } from "./messages.ts";

/** Options of a page of one node. */
export type NodePageOptions = Omit<ListConnectionsOptions, "node"> & { readonly limit: number };

/** Asks one node for a page. Resolves with undefined if the node is gone. */
type AskNode = (node: string, options: NodePageOptions) => Promise<ConnectionsPage | undefined>;

const CURSOR = /^([\w-]{1,32})\.(\d{1,4}\.\d{1,16})$/;

/** Returns one page of the connections of all nodes, in the order of the nodes' ids. */
export async function listNodes(
  nodes: readonly string[],
  { limit = 100, cursor, shard }: Omit<ListConnectionsOptions, "node">,
  ask: AskNode,
): Promise<ConnectionsPage> {
  const position = cursor === undefined ? undefined : parseCursor(cursor);
  const connections: ConnectionInfo[] = [];
  for (const node of nodes.toSorted()) {
    if (position !== undefined && node < position.node) continue;
    const page = await ask(node, {
      limit: limit - connections.length,
      ...(shard !== undefined && { shard }),
      ...(node === position?.node && { cursor: position.cursor }),
    });
    connections.push(...(page?.connections ?? []));
    if (page?.cursor !== undefined) return { connections, cursor: `${node}.${page.cursor}` };
  }
  return { connections, cursor: undefined };
}

function parseCursor(text: string): { node: string; cursor: string } {
  const [, node, cursor] = CURSOR.exec(text) ?? [];
  if (node !== undefined && cursor !== undefined) return { node, cursor };
  throw new SwitchboardError("ERR_OPTION", "connections: cursor takes what a page before gave");
}

/**
 * Returns a page that fits into a message: the page that `list` gives for the limit, or a shorter one. The session of a
 * connection that doesn't fit alone, or can't be serialized, is left out, as that of one that can't be cloned.
 */
export async function packPage(
  limit: number,
  list: (limit: number) => Promise<ConnectionsPage>,
): Promise<{ readonly connections: string; readonly cursor: string | undefined }> {
  for (let count = limit; ; count = Math.ceil(count / 2)) {
    const { connections, cursor } = await list(count);
    const packed = pack(connections) ?? (count === 1 ? pack(connections.map(withoutSession)) : undefined);
    if (packed !== undefined || count === 1) return { connections: packed ?? "", cursor };
  }
}

function withoutSession(connection: ConnectionInfo): ConnectionInfo {
  return { ...connection, session: undefined };
}

function pack(connections: readonly ConnectionInfo[]): string | undefined {
  try {
    const packed = serialize(connections).toString("base64");
    return packed.length <= MAX_BASE64_LENGTH ? packed : undefined;
  } catch {
    return undefined;
  }
}

const isText = (value: unknown): boolean => typeof value === "string";
const isCount = (value: unknown): boolean => Number.isFinite(value) && Number(value) >= 0;
const isTextOrNone = (value: unknown): boolean => value === undefined || isText(value);

/** The fields of a connection. A session is any value. */
const FIELDS = {
  address: isAddress,
  shard: isCount,
  actor: isTextOrNone,
  params: (value: unknown) => typeof value === "object" && value !== null && Object.values(value).every(isText),
  protocol: isText,
  topics: isCount,
  bufferedBytes: isCount,
  openedAt: isCount,
  remoteAddress: isTextOrNone,
} satisfies Partial<Record<keyof ConnectionInfo, (value: unknown) => boolean>>;

function isConnection(value: unknown): value is ConnectionInfo {
  return hasFields(value, FIELDS);
}

/** Returns the connections of a page; undefined for what is none. Never throws. */
export function unpackPage(packed: string, limit: number): readonly ConnectionInfo[] | undefined {
  try {
    const connections: unknown = packed === "" ? [] : deserialize(Buffer.from(packed, "base64"));
    if (!Array.isArray(connections) || connections.length > limit) return undefined;
    return connections.every(isConnection) ? connections : undefined;
  } catch {
    return undefined;
  }
}
