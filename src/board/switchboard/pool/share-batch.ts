/** Shares a closing batch of the board between its shards. `ShardPool.close` uses it. */
/**
 * Returns each shard's part of a batch, by its connections. The parts are no more than the batch, unless it has fewer
 * connections than there are shards: each closes at least one. If all connections fit into one batch, no shard needs a
 * second.
 */
export function shareBatch(batch: number, loads: readonly number[]): number[] {
  const total = loads.reduce((sum, load) => sum + load, 0);
  if (total <= batch) return loads.map(() => batch);
  const exact = loads.map((load) => (batch * load) / total);
  const parts = exact.map(Math.floor);
  // The rest goes to the shards whose part lost most by rounding down.
  const missing = batch - parts.reduce((sum, part) => sum + part, 0);
  const byLoss = [...exact.keys()].sort((one, other) => lossOf(exact, other) - lossOf(exact, one));
  for (const shard of byLoss.slice(0, missing)) parts[shard] = (parts[shard] ?? 0) + 1;
  return parts.map((part) => Math.max(1, part));
}

/** Returns the fraction of a connection that rounding down takes from a shard's part. */
function lossOf(exact: readonly number[], shard: number): number {
  const part = exact[shard] ?? 0;
  return part - Math.floor(part);
}
