/** The version of an actor class's state: `static moves`. Shards check it as they load the class. */
import { SwitchboardError } from "../../../errors.ts";
import { MAX_INT32 } from "../../../wire/handshake/option-check.ts";

/**
 * Returns the version of the state that the class gives to `suspended`; undefined for a class that doesn't move. Throws
 * `ERR_MOVES` for anything but an integer from 1, and for a class without a `suspended` and a `resumed` of its own.
 *
 * @param base prototype of the `Actor` that the class extends
 */
export function movesOf(
  actorClass: { readonly prototype: object; readonly moves?: unknown },
  base: object,
): number | undefined {
  const { moves, prototype } = actorClass;
  if (moves === undefined) return undefined;
  if (!(Number.isInteger(moves) && (moves as number) >= 1 && (moves as number) <= MAX_INT32)) {
    throw misfit(`takes an integer from 1 to ${MAX_INT32}, got ${String(moves)}`);
  }
  for (const name of ["suspended", "resumed"] as const) {
    const method: unknown = Reflect.get(prototype, name);
    if (typeof method !== "function" || method === Reflect.get(base, name)) throw misfit(`needs a method ${name}`);
  }
  return moves as number;
}

function misfit(what: string): SwitchboardError {
  return new SwitchboardError("ERR_MOVES", `the actor class's static moves: ${what}`);
}
