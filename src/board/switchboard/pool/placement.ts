/** Placement: the choice of the shard for a new connection. `ShardPool` uses it. */
import type { IncomingMessage } from "node:http";
import { SwitchboardError } from "../../../errors.ts";
import type { Params } from "../../../runtime/actor/context/actor-context.ts";

/** A shard that could take a new connection. */
export interface ShardCandidate {
  /** Number of the shard, from 0. */
  readonly shard: number;
  /** Number of connections in the shard, in their handshake there, or on their way. */
  readonly connections: number;
  /** Milliseconds by which its timers are late: the mean of about the last second. */
  readonly eventLoopDelayMs: number;
}

/**
 * Chooses a shard by the request. The candidates are the shards that may take the connection, in the order of their
 * numbers.
 *
 * @param actor name of the actor module that the route names, of the option `actors`; undefined for the default module
 * @returns the number of a candidate, or undefined for 503. Any other number, and an error, gives 500 and is reported.
 */
export type PlacementFunction = (
  request: IncomingMessage,
  candidates: readonly ShardCandidate[],
  params: Params,
  actor: string | undefined,
) => number | undefined;

/**
 * Returns the key that decides on the shard, such as a room or a user: one key, one shard, while that shard takes
 * connections. Otherwise only its keys move to other shards, each to one, and come back later. Undefined: the shard
 * with the fewest connections. `actor` is the name of the actor module, undefined for the default module.
 */
export type StickyBy = (request: IncomingMessage, params: Params, actor: string | undefined) => string | undefined;

/** Policy that chooses the shard of a new connection. */
export type Placement = "leastConnections" | "roundRobin" | { readonly stickyBy: StickyBy } | PlacementFunction;

/** The request that a placement may look at. */
export interface Placed {
  readonly request: IncomingMessage;
  readonly params: Params;
  /** Name of the actor module; undefined for the default module. */
  readonly actor: string | undefined;
}

/** @param placed undefined for a raw socket */
export type Place<T extends ShardCandidate> = (candidates: readonly T[], placed: Placed | undefined) => T | undefined;

/** True if a placement looks at the request. */
export function placesByRequest(placement: Placement): boolean {
  return typeof placement !== "string";
}

export function createPlacement<T extends ShardCandidate>(placement: Placement): Place<T> {
  if (typeof placement === "function") return byFunction(placement);
  if (typeof placement === "object") return sticky(placement.stickyBy);
  return placement === "roundRobin" ? roundRobin() : leastConnections();
}

/**
 * Returns the shards that may take a new connection: those below their limit that aren't overloaded, or the least
 * overloaded one if all are.
 *
 * @param maxConnections limit of each shard
 */
export function eligible<T extends ShardCandidate>(
  shards: readonly T[],
  maxConnections: number,
  maxEventLoopDelayMs: number,
): readonly T[] {
  const open = shards.filter(({ connections }) => connections < maxConnections);
  const quick = open.filter(({ eventLoopDelayMs }) => eventLoopDelayMs <= maxEventLoopDelayMs);
  if (quick.length > 0 || open.length === 0) return quick;
  return [open.reduce((best, one) => (one.eventLoopDelayMs < best.eventLoopDelayMs ? one : best))];
}

/** The shard with the fewest connections; shards with equal numbers take turns. */
function leastConnections<T extends ShardCandidate>(): Place<T> {
  let turn = 0;
  return (candidates) => {
    let best: T | undefined;
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[(turn + i) % candidates.length] as T;
      if (best === undefined || candidate.connections < best.connections) best = candidate;
    }
    turn++;
    return best;
  };
}

/** The next shard by number. */
function roundRobin<T extends ShardCandidate>(): Place<T> {
  let last = -1;
  return (candidates) => {
    const next = candidates.find(({ shard }) => shard > last) ?? candidates[0];
    if (next !== undefined) last = next.shard;
    return next;
  };
}

/**
 * The shard with the highest random weight for the key. Source: Thaler and Ravishankar, "Using name-based mappings to
 * increase hit rates", IEEE/ACM Transactions on Networking 6(1), 1998.
 */
function sticky<T extends ShardCandidate>(stickyBy: StickyBy): Place<T> {
  const withoutKey = leastConnections<T>();
  return (candidates, placed) => {
    const key: unknown = placed && stickyBy(placed.request, placed.params, placed.actor);
    if (key === undefined) return withoutKey(candidates, placed);
    if (typeof key !== "string") throw misplaced(`stickyBy must give a string or undefined, and gave ${typeof key}`);
    const hashed = hash(key);
    let best: T | undefined;
    let highest = -1;
    for (const candidate of candidates) {
      const weight = mix(hashed ^ Math.imul(candidate.shard + 1, 0x9e37_79b1));
      if (weight <= highest) continue;
      highest = weight;
      best = candidate;
    }
    return best;
  };
}

function byFunction<T extends ShardCandidate>(choose: PlacementFunction): Place<T> {
  return (candidates, placed) => {
    if (placed === undefined || candidates.length === 0) return undefined;
    const shown = candidates.map(({ shard, connections, eventLoopDelayMs }) => {
      return { shard, connections, eventLoopDelayMs };
    });
    const chosen: unknown = choose(placed.request, shown, placed.params, placed.actor);
    if (chosen === undefined) return undefined;
    const found = candidates.find(({ shard }) => shard === chosen);
    if (found !== undefined) return found;
    const numbers = candidates.map(({ shard }) => shard).join(", ");
    const gave = typeof chosen === "number" ? chosen : typeof chosen;
    throw misplaced(
      `the placement function must give the shard of a candidate (${numbers}) or undefined, and gave ${gave}`,
    );
  };
}

/** The 32-bit FNV-1a hash of the UTF-16 units. */
function hash(text: string): number {
  let value = 0x811c_9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x0100_0193);
  return value;
}

/** The finalizer of MurmurHash3: each bit of the input changes half of the output. */
function mix(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

function misplaced(message: string): SwitchboardError {
  return new SwitchboardError("ERR_PLACEMENT", message);
}
