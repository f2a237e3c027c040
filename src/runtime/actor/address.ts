import { SwitchboardError } from "../../errors.ts";

declare const address: unique symbol;

/**
 * An actor's address, valid from any thread of its board: the id of its connection, `<shard>-<serial>`. A string, so it survives JSON
 * and `postMessage`; never used again for another connection. What comes from outside is checked with `isAddress`.
 */
export type Address = string & { readonly [address]: true };

const ADDRESS = /^\d{1,4}-[\w-]{1,60}$/;

/** Whether a value has the form of an address. Whether somebody is there is told by the answer to what is sent to it. */
export function isAddress(value: unknown): value is Address {
  return typeof value === "string" && ADDRESS.test(value);
}

/** Throws `ERR_ADDRESS` for what can't be an address. */
export function checkAddress(value: unknown): asserts value is Address {
  if (isAddress(value)) return;
  const got = typeof value === "string" ? JSON.stringify(value.slice(0, 80)) : typeof value;
  throw new SwitchboardError("ERR_ADDRESS", `an address is what an actor has as this.address, got ${got}`);
}

/** The shard that an address leads to. */
export function shardOf(to: Address): number {
  return Number.parseInt(to, 10);
}
