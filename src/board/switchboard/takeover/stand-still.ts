/**
 * Stops everybody on all shards between two handlers, so that everybody can go to another process. `BoardSource` calls
 * it.
 */
import type { ShardHandle } from "../pool/shard-handle.ts";
import { BLOCKED_LIMIT_MS, CALM_LIMIT_MS, FEW_LIMIT_MS, NO_TIMEOUT_MS, STILL_LIMIT_MS } from "./limits.ts";

/**
 * Resolves when no handler is under way and nothing more is read from peers: with the time at which everybody was
 * stopped.
 *
 * Handlers are waited for while everybody goes on. A handler that begins afterwards and takes long doesn't make the
 * others wait, nor does a shard that such a handler blocks: they go on, and the stop is tried again when the handler
 * has ended. At the limit, connections whose handlers are under way stay behind. A blocked shard is waited for, or is
 * ended by its watchdog.
 */
export async function standStill(
  shards: readonly Pick<ShardHandle, "query">[],
  calmLimitMs = CALM_LIMIT_MS,
): Promise<number> {
  const over = performance.now() + calmLimitMs;
  for (;;) {
    const calm = { kind: "calm", limitMs: Math.max(0, over - performance.now()) } as const;
    // A blocked shard answers afterwards.
    await Promise.all(shards.map((shard) => shard.query(calm, NO_TIMEOUT_MS)));
    const stoppedAt = performance.now();
    const isLast = stoppedAt >= over;
    const limitMs = isLast ? STILL_LIMIT_MS : FEW_LIMIT_MS;
    const query = { kind: "standStill", limitMs, fewLimitMs: FEW_LIMIT_MS, isLast } as const;
    const busy = await Promise.all(
      shards.map((shard) =>
        isLast ? shard.query(query, NO_TIMEOUT_MS) : shard.query(query, BLOCKED_LIMIT_MS).catch(() => 1),
      ),
    );
    if (isLast || busy.every((connections = 0) => connections === 0)) return stoppedAt;
  }
}
