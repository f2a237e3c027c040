/** The tick of a shard's timer wheel, by the options of its connections. `Shard` uses it. */
import type { ConnectionLimits } from "../connection/connection-host.ts";

/**
 * Returns the tick of the wheel in milliseconds: a tenth of the shortest deadline in the options, between 5 and 500.
 */
export function tickMs(options: ConnectionLimits): number {
  const { pingIntervalMs, pongTimeoutMs, closeTimeoutMs, maxMessagesPerSecond, maxBytesPerSecond } = options;
  const { handlerTimeoutMs, handlerTimeoutAfterCloseMs } = options;
  const limited = maxMessagesPerSecond !== undefined || maxBytesPerSecond !== undefined;
  const never = Number.POSITIVE_INFINITY;
  // Rates count in seconds.
  const handlers = Math.min(handlerTimeoutMs || never, handlerTimeoutAfterCloseMs || never);
  const peers = Math.min(pingIntervalMs || never, pongTimeoutMs, closeTimeoutMs, limited ? 1_000 / 4 : never);
  const shortest = Math.min(handlers, peers);
  return Math.min(500, Math.max(5, Math.floor(shortest / 10)));
}
