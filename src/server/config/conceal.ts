/** Objects whose secrets don't show in logs. */
import { builtins } from "../../wire/node-internals/builtins.ts";

/** Text that logs show in place of a secret. */
const HIDDEN = "[secret]";

/**
 * Makes `console.log`, `util.inspect` and `JSON.stringify` of an object show `[secret]` for some of its fields. The
 * fields themselves, structured clones and spreads stay as they are.
 */
export function conceal<T extends object>(value: T, secrets: readonly (keyof T & string)[]): T {
  const shown = (): object => {
    const hidden = secrets.filter((name) => !isEmpty(value[name])).map((name) => [name, HIDDEN]);
    return { ...value, ...Object.fromEntries(hidden) };
  };
  Object.defineProperties(value, { [builtins.util.inspect.custom]: { value: shown }, toJSON: { value: shown } });
  return value;
}

function isEmpty(value: unknown): boolean {
  return value === "" || value === undefined || (typeof value === "object" && Object.keys(value ?? {}).length === 0);
}
