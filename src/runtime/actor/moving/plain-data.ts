/**
 * Tells values that travel unchanged from those that `v8.serialize` changes without an error: it writes a `Blob`, a
 * `URL` and every instance of a class as an object of their own properties. Everything that moves with a connection is
 * checked.
 */
import { SwitchboardError } from "../../../errors.ts";

/** Prototypes of objects that travel as they are, and hold no other objects. */
const LEAVES: ReadonlySet<unknown> = new Set(
  [
    ...[Date, RegExp, Boolean, Number, String, BigInt, ArrayBuffer, DataView, Buffer],
    ...[Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array],
    ...[Float32Array, Float64Array, BigInt64Array, BigUint64Array],
    // Node 24 and newer.
    ...("Float16Array" in globalThis ? [globalThis.Float16Array] : []),
  ].map(({ prototype }) => prototype),
);

/** Prototypes of errors that travel with their message, stack and cause. */
const ERRORS: ReadonlySet<unknown> = new Set(
  [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map(({ prototype }) => prototype),
);

/**
 * Throws `ERR_STATE_NOT_CLONEABLE` if a value holds an instance of a class that isn't one of JavaScript's own. Call it
 * after `v8.serialize` has taken the value: functions and the like aren't looked for.
 *
 * @param what name of the value in the message
 */
export function checkPlainData(value: unknown, what: string): void {
  const foreign = foreignClassIn(value);
  if (foreign === undefined) return;
  const message = `${what} must be plain data, without functions or class instances, and holds an instance of ${foreign}`;
  throw new SwitchboardError("ERR_STATE_NOT_CLONEABLE", message);
}

/**
 * Returns the name of the first class found whose instances can't travel; undefined if the whole value is plain data.
 */
function foreignClassIn(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const seen = new Set<object>();
  const pending: object[] = [];
  const add = (one: unknown): void => {
    if (typeof one !== "object" || one === null || seen.has(one)) return;
    seen.add(one);
    pending.push(one);
  };
  add(value);
  for (let one = pending.pop(); one !== undefined; one = pending.pop()) {
    const prototype: unknown = Object.getPrototypeOf(one);
    if (LEAVES.has(prototype)) continue;
    if (prototype === Array.prototype) {
      for (const element of one as unknown[]) add(element);
    } else if (prototype === Map.prototype) {
      for (const [key, element] of one as Map<unknown, unknown>) {
        add(key);
        add(element);
      }
    } else if (prototype === Set.prototype) {
      for (const element of one as Set<unknown>) add(element);
    } else if (ERRORS.has(prototype)) {
      add((one as Error).cause);
    } else if (isPlain(prototype)) {
      for (const key in one) add((one as Record<string, unknown>)[key]);
    } else {
      return nameOf(one);
    }
  }
  return undefined;
}

/** True for the prototype of an object literal, also of another realm, and of an object without a prototype. */
function isPlain(prototype: unknown): boolean {
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}

function nameOf(value: object): string {
  const { name } = value.constructor ?? {};
  return typeof name === "string" && name !== "" ? name : "an unnamed class";
}
