/** Moves connections between the shards of a board. `Switchboard` calls it. */
import { SwitchboardError } from "../../../errors.ts";
import type { Address } from "../../../runtime/actor/address.ts";
import type { MoveCounts, MoveFailureReason } from "../../shard/moving/messages.ts";
import type { ShardHandle } from "../pool/shard-handle.ts";
import type { ShardPool } from "../pool/shard-pool.ts";
import { MOVE_LIMIT_MS, NO_TIMEOUT_MS } from "./limits.ts";

/**
 * Why a connection didn't move. `gone`: there is no such connection. `lost`: it left, and was closed because `resumed`
 * threw, or because the other shard ended.
 */
export type MoveRefusal = MoveFailureReason;

export type MoveResult = { readonly moved: true } | { readonly moved: false; readonly reason: MoveRefusal };

/** Numbers of connections that moved, and of those that didn't, by the reason. */
export interface EvacuationResult extends MoveCounts {
  /** Time that it took, in ms. */
  readonly ms: number;
}

/** Moves one connection. A connection that is in the shard already counts as moved. */
export async function moveConnection(pool: ShardPool, address: Address, shard: number): Promise<MoveResult> {
  const target = readyShard(pool, shard);
  const query = { kind: "move", to: [target.life], addresses: [address], count: 1, limitMs: MOVE_LIMIT_MS } as const;
  const counts = await pool.queryAt(address, query, ({ stayed }) => stayed.gone !== undefined, NO_TIMEOUT_MS);
  await pool.hasArrived(address);
  if (counts?.moved === 1) return { moved: true };
  const [reason = "gone"] = Object.keys(counts?.stayed ?? {}) as MoveRefusal[];
  return { moved: false, reason };
}

/** Moves all connections of a shard to the others. */
export async function evacuate(pool: ShardPool, shard: number): Promise<EvacuationResult> {
  const startedAt = performance.now();
  const from = checkShard("evacuate", pool, shard);
  const to = pool.handles.filter((one) => one !== from && one.takesConnections).map(({ life }) => life);
  if (to.length === 0) throw new SwitchboardError("ERR_MOVE_FAILED", "no other shard takes connections");
  const release = pool.passOver(from);
  try {
    const query = { kind: "move", to, addresses: undefined, count: Infinity, limitMs: MOVE_LIMIT_MS } as const;
    const { moved, stayed } = (await from.query(query, NO_TIMEOUT_MS)) ?? { moved: 0, stayed: {} };
    await pool.allArrived();
    return { moved, stayed, ms: performance.now() - startedAt };
  } finally {
    release();
  }
}

function readyShard(pool: ShardPool, shard: number): ShardHandle {
  const handle = checkShard("move", pool, shard);
  if (handle.takesConnections) return handle;
  throw new SwitchboardError("ERR_MOVE_FAILED", `shard ${shard} takes no connections now`);
}

/** Throws `ERR_OPTION` unless there is such a shard. */
export function checkShard(call: string, pool: ShardPool, shard: unknown): ShardHandle {
  const handle = typeof shard === "number" ? pool.handles[shard] : undefined;
  if (handle !== undefined) return handle;
  const message = `${call}: shard takes an integer from 0 to ${pool.shards - 1}, got ${String(shard)}`;
  throw new SwitchboardError("ERR_OPTION", message);
}
