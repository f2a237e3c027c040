/** The question for the numbers of a shard, and its answer: between `client-metrics.ts` and the actor module. */
import type { ControlAnswer } from "../client/control/control.ts";
import type { EndpointSnapshot } from "../hooks/endpoint.ts";
import type { RefusedCount } from "./client-watch.ts";

/** Question to the shards for the numbers of their clients and of the application's endpoints. */
export const NUMBERS_QUESTION = { kind: "numbers" } as const;

/** Answer of one shard. Plain data. */
export interface ShardNumbers {
  readonly info: ControlAnswer & { readonly kind: "info" };
  readonly refused: readonly RefusedCount[];
  readonly endpoints: Readonly<Record<string, Omit<EndpointSnapshot, "latency">>>;
}
