/** Checks of options, and the errors that describe a wrong one: for boards, actors and `switchboard/websocket`. */
import { type ErrorCode, SwitchboardError } from "../../errors.ts";

/** The largest value of a number option. Timers of Node hold no longer delay: 2,147,483,647 ms are 24.8 days. */
export const MAX_INT32 = 2 ** 31 - 1;

/** The check of one option. */
export interface OptionCheck {
  /** The values that the option takes, in words that follow "takes". */
  readonly takes: string;
  readonly accepts: (value: unknown) => boolean;
  /** Describes a wrong value, in words that follow "got". Default: the value itself, or its class. */
  readonly describe?: (value: unknown) => string;
}

export function integer(from: number, to: number): OptionCheck {
  const accepts = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= from && Number(value) <= to;
  return { takes: `an integer from ${from} to ${to}`, accepts };
}

/** One of these strings. */
export function oneOf(values: readonly string[]): OptionCheck {
  const quoted = values.map((value) => JSON.stringify(value));
  const takes = `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
  return { takes, accepts: (value) => typeof value === "string" && values.includes(value) };
}

/**
 * A list of strings. The description of a wrong list names its first wrong member.
 *
 * @param reason says what is wrong with a member, in words that follow the member
 */
export function listOf(
  what: string,
  accepts: (member: string) => boolean,
  reason: (member: string) => string = () => "",
): OptionCheck {
  const isGood = (member: unknown): boolean => typeof member === "string" && accepts(member);
  return {
    takes: `an array of ${what}`,
    accepts: (value) => Array.isArray(value) && value.every(isGood),
    describe: (value) => {
      if (!Array.isArray(value)) return show(value);
      const index = value.findIndex((member) => !isGood(member));
      const member: unknown = value[index];
      return `${show(member)} at index ${index}${typeof member === "string" ? reason(member) : ""}`;
    },
  };
}

/** An object of values by name. The description of a wrong object names its first wrong entry. */
export function recordOf(what: string, accepts: (name: string, value: unknown) => boolean): OptionCheck {
  const isWrong = ([name, value]: [string, unknown]): boolean => !accepts(name, value);
  return {
    takes: `an object of ${what}`,
    accepts: (value) => isRecord(value) && !Object.entries(value).some(isWrong),
    describe: (value) => {
      const [name, wrong] = (isRecord(value) && Object.entries(value).find(isWrong)) || [];
      return name === undefined ? show(value) : `${show(wrong)} for the name ${JSON.stringify(name)}`;
    },
  };
}

/** Returns false for an array or a Map, too: their entries would be overlooked. */
function isRecord(value: unknown): value is object {
  return typeof value === "object" && value !== null && !(Symbol.iterator in value);
}

/** Throws `ERR_OPTION` for a value that the option doesn't take. */
export function checkOption(call: string, name: string, value: unknown, check: OptionCheck): void {
  if (check.accepts(value)) return;
  const { takes, describe = show } = check;
  throw optionError(`${call}: ${name} takes ${takes}, got ${describe(value)}`);
}

/** Throws for options that are no object, and for options that the call doesn't know. The message names all of them. */
export function checkNames(
  call: string,
  options: unknown,
  known: readonly string[],
  code: ErrorCode = "ERR_OPTION",
): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new SwitchboardError(code, `${call}: the options must be an object, got ${show(options)}`);
  }
  // This loop allocates nothing: each publish with options comes here.
  for (const name in options) {
    if (known.includes(name) || !Object.hasOwn(options, name)) continue;
    const unknown = Object.keys(options).filter((each) => !known.includes(each));
    const names = unknown.map((each) => JSON.stringify(each)).join(", ");
    const what = `unknown option${unknown.length > 1 ? "s" : ""} ${names}`;
    throw new SwitchboardError(code, `${call}: ${what}; the options are ${known.join(", ")}`);
  }
}

/** Throws `ERR_ARGUMENT` for an option of a call that is given and neither true nor false. */
export function checkFlag(call: string, name: string, value: unknown): void {
  if (value === undefined || typeof value === "boolean") return;
  throw new SwitchboardError("ERR_ARGUMENT", `${call}: ${name} takes true or false, got ${show(value)}`);
}

export function optionError(message: string): SwitchboardError {
  return new SwitchboardError("ERR_OPTION", message);
}

/** Describes a value in a few words. */
export function show(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (typeof value === "string") return JSON.stringify(value);
  return typeof value === "object" && value !== null ? (value.constructor?.name ?? "an object") : String(value);
}
