/** Replaces all threads of a board's shards by new ones, with everybody in them. `ShardPool` calls it. */
import { setTimeout as delay } from "node:timers/promises";
import type { ShutdownSettings } from "../../shard/shutdown.ts";
import { unlessAbandoned } from "../abandoned.ts";
import type { ShardHandle } from "../pool/shard-handle.ts";
import { shareBatch } from "../pool/share-batch.ts";
import { MOVE_LIMIT_MS, NO_TIMEOUT_MS } from "./limits.ts";

/** What became of the connections in a reload. */
export interface ReloadResult {
  /** Connections that go on in the new threads. */
  readonly moved: number;
  /** Connections that couldn't move and were closed. */
  readonly closed: number;
  /** Time that it took, from the call until the old threads had ended, in ms. */
  readonly ms: number;
}

/** The shards of a board while their threads are replaced. */
export interface Replacement {
  /** The new threads, by shard. */
  readonly next: readonly ShardHandle[];
  /** Aborted when the board closes: what is left then is the closing's. */
  readonly closing: AbortSignal;
  /** Puts the new threads in the place of the old ones, for new connections and for addresses. Returns the old ones. */
  replace(): readonly ShardHandle[];
  /** Gives the addresses of a shard to its new thread. Resolves when the old thread may end. */
  succeed(next: ShardHandle): Promise<unknown>;
  /** Resolves when all connections that left a thread have arrived. */
  allArrived(): Promise<void>;
}

/** Time in which handshakes under way in the old threads become connections that can move, in ms. */
const HANDSHAKES_MS = 2_000;
const POLL_MS = 10;

/**
 * Waits for the new threads, moves everybody to them, and ends the old threads. Rejects, with nothing changed, if a new
 * thread can't start. What can't move is closed.
 */
export async function reloadShards(
  { next, closing, replace, succeed, allArrived }: Replacement,
  settings: ShutdownSettings,
): Promise<Omit<ReloadResult, "ms">> {
  await unlessAbandoned(closing, Promise.all(next.map(({ ready }) => ready)));
  const old = replace();
  const batches = shareBatch(
    settings.batchSize,
    old.map(({ connections }) => connections),
  );
  const counts = await Promise.all(
    old.map(async (shard, index) => {
      const moved = await moveEverybody(shard, next[index] as ShardHandle, closing);
      if (closing.aborted || shard.hasEnded) return { moved, closed: 0 };
      await allArrived();
      const { closed, dropped } = await shard.shutDown({ ...settings, batchSize: batches[index] as number });
      await succeed(next[index] as ShardHandle);
      await shard.stop();
      return { moved, closed: closed + dropped };
    }),
  );
  return {
    moved: counts.reduce((sum, { moved }) => sum + moved, 0),
    closed: counts.reduce((sum, { closed }) => sum + closed, 0),
  };
}

/** Moves all connections of an old thread, also those whose handshake is still under way. Returns the number. */
async function moveEverybody(old: ShardHandle, next: ShardHandle, closing: AbortSignal): Promise<number> {
  if (!old.isReady) return 0;
  old.retire(next.life);
  const query = {
    kind: "move",
    to: [next.life],
    addresses: undefined,
    count: Infinity,
    limitMs: MOVE_LIMIT_MS,
  } as const;
  const deadline = performance.now() + HANDSHAKES_MS;
  let moved = 0;
  for (;;) {
    const counts = await old.query(query, NO_TIMEOUT_MS);
    moved += counts?.moved ?? 0;
    if (counts === undefined || closing.aborted) return moved;
    if (old.underWay === 0 || performance.now() > deadline) return moved;
    await delay(POLL_MS);
  }
}
