/** Addresses of actors: strings that are valid in every thread. */
import { SwitchboardError } from "../../errors.ts";

declare const address: unique symbol;

/**
 * Address of an actor, valid in every thread of its board: the id of its connection, `<shard>-<serial>`. A string, so
 * it survives JSON and `postMessage`. Never used again for another connection. Check strings from outside with
 * `isAddress`.
 */
export type Address = string & { readonly [address]: true };

const ADDRESS = /^\d{1,4}-[\w-]{1,60}$/;

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

/** Returns the shard of an address. */
export function shardOf(to: Address): number {
  return Number.parseInt(to, 10);
}
