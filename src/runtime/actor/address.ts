/** Addresses of actors: strings that are valid in every thread, and on every node of a cluster. */
import { SwitchboardError } from "../../errors.ts";

declare const address: unique symbol;

/**
 * Address of an actor, valid in every thread of its board: the id of its connection, `<shard>-<serial>`. With an engine
 * that other nodes share, it is `<node>.<shard>-<serial>` and valid on every node. A string, so it survives JSON and
 * `postMessage`. Never used again for another connection. Check strings from outside with `isAddress`.
 */
export type Address = string & { readonly [address]: true };

const ADDRESS = /^(?:[\w-]{1,32}\.)?\d{1,4}-[\w-]{1,60}$/;

/** True if a value has the form of an address. Only an answer to mail tells whether the actor still exists. */
export function isAddress(value: unknown): value is Address {
  return typeof value === "string" && ADDRESS.test(value);
}

/** Throws `ERR_ADDRESS` for anything without the form of an address. */
export function checkAddress(value: unknown): asserts value is Address {
  if (isAddress(value)) return;
  const got = typeof value === "string" ? JSON.stringify(value.slice(0, 80)) : typeof value;
  throw new SwitchboardError("ERR_ADDRESS", `an address is what an actor has as this.address, got ${got}`);
}

/** Returns the shard of an address, on the address's own node. */
export function shardOf(to: Address): number {
  const dot = to.indexOf(".");
  return Number.parseInt(dot < 0 ? to : to.slice(dot + 1), 10);
}

/** Returns the node of an address; undefined for an address that names none. */
export function nodeOf(to: Address): string | undefined {
  const dot = to.indexOf(".");
  return dot < 0 ? undefined : to.slice(0, dot);
}

/**
 * True if an address names another node.
 *
 * @param prefix what the addresses of this node begin with: `<node>.`, or "" if no other node shares the engine
 */
export function isForeign(to: Address, prefix: string): boolean {
  const dot = to.indexOf(".");
  return dot >= 0 && !(dot + 1 === prefix.length && to.startsWith(prefix));
}
